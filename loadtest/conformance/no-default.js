// No function to run.
// run: => 255
export const options = {};
