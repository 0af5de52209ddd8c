// Opens the live view's screen and dies of something that nobody caught.
import { openScreen } from "../../../src/demo/live/screen.ts";

const screen = openScreen({
  input: process.stdin,
  output: process.stdout,
  onKey: () => {
    throw new Error("a key too much");
  },
  onResize: () => {},
  onGone: () => {},
});
screen.show(["the view is up"]);
