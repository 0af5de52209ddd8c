// The terminal while the live view is shown: alternate screen and raw keys, restored however the process ends.
import { writeSync } from "node:fs";
import type { ReadStream, WriteStream } from "node:tty";
import type { Size } from "./live-view.ts";

const ENTER = "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J";
const LEAVE = "\x1b[0m\x1b[?7h\x1b[?25h\x1b[?1049l";

const STDOUT = 1;
const DEFAULT_SIZE: Size = { width: 80, height: 24 };

interface Screen extends Disposable {
  readonly size: Size;
  /** Shows the lines; writes only those that are not what is shown already. */
  show(lines: readonly string[]): void;
}

interface ScreenOptions {
  readonly input: ReadStream;
  readonly output: WriteStream;
  /** One key, as the terminal sends it. */
  readonly onKey: (key: string) => void;
  readonly onResize: () => void;
  /** Nobody is at the other end any more. */
  readonly onGone: () => void;
}

/** Disposing twice does nothing. */
export function openScreen({ input, output, onKey, onResize, onGone }: ScreenOptions): Screen {
  let shown: readonly string[] = [];
  let open = true;
  const onData = (chunk: Buffer): void => {
    // Escape sequences (arrows, pasted marks) are no keys of ours; typed ahead, several keys come at once.
    const text = chunk.toString("latin1");
    if (!text.startsWith("\x1b")) for (const key of text) onKey(key);
  };
  const resized = (): void => {
    shown = [];
    output.write("\x1b[2J");
    onResize();
  };
  const restore = (): void => {
    if (!open) return;
    open = false;
    process.off("exit", restore);
    input.off("data", onData);
    input.off("end", onGone);
    input.off("error", onGone);
    output.off("resize", resized);
    input.pause();
    try {
      input.setRawMode(false);
      // Not by the stream: on the way out nothing asynchronous is written any more.
      writeSync(STDOUT, LEAVE);
    } catch {
      // The terminal is gone.
    }
  };
  process.once("exit", restore);
  input.setRawMode(true);
  input.on("data", onData);
  input.once("end", onGone);
  input.once("error", onGone);
  output.on("resize", resized);
  input.resume();
  output.write(ENTER);
  return {
    get size() {
      return {
        width: output.columns || DEFAULT_SIZE.width,
        height: output.rows || DEFAULT_SIZE.height,
      };
    },
    show(lines) {
      if (!open) return;
      let text = "";
      for (const [index, line] of lines.entries()) {
        if (shown[index] !== line) text += `\x1b[${index + 1};1H${line}\x1b[0m\x1b[K`;
      }
      if (lines.length < shown.length) text += `\x1b[${lines.length + 1};1H\x1b[J`;
      shown = [...lines];
      if (text !== "") output.write(text);
    },
    [Symbol.dispose]: restore,
  };
}
