// No function to run.
// run: => 104
export const options = {};
