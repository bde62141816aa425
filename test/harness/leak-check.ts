import { afterAll } from "vitest";
import { watchLeaks } from "#test/harness/leaks.ts";

// Loaded before each test file: a file that leaves something behind fails, after its tests.
const watch = watchLeaks();

// Without a time limit of the runner's, whose timer would be counted; the watch has its own. First registered, so last to run.
afterAll(async () => {
  const left = await watch.left();
  watch.end();
  if (left.length > 0) throw new Error(`the tests of this file left behind: ${left.join("; ")}`);
}, 0);
