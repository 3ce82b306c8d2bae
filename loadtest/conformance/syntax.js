// A script that is none.
// run: => 107
export default function () {
  const = 1;
}
