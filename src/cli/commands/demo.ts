// The command `mountaineer demo`.
import { MountaineerError } from "../../runtime/errors.ts";
import { paintFor } from "../../runtime/text/paint.ts";
import { command } from "../input/command.ts";

const DRIVERS = ["smb", "local"] as const;

export const demoCommand = command("demo", {
  summary: "try it out: a small NAS on this machine, with two cables to unplug",
  description:
    "Uses a temporary folder, removed at the end; real SMB if samba, mountaineer-fs and FUSE are installed, else plain folders. Without a terminal it plays the story as with --script.",
  examples: {
    "mountaineer demo": "try it by hand",
    "mountaineer demo --script": "watch the story, checked step by step",
    "mountaineer demo --script --driver local": "the same without SMB",
  },
  exits: {
    0: "every step succeeded, or you ended the demo",
    1: "a step failed, or the driver is not available",
  },
  isText: true,
  takes: {
    "--script": "play the story instead of the live view",
    "--driver <driver>": {
      about: "real SMB or plain folders; default: SMB if possible",
      choices: DRIVERS,
    },
  },
  async run(context, { script, driver }) {
    if (context.configPath !== null) {
      throw new MountaineerError("usage", "the demo has its own configuration", {
        hint: "leave out --config",
      });
    }
    const { runDemo } = await import("../../demo/run-demo.ts");
    const { stdin, stdout, env, execPath, execArgv, argv } = process;
    const [, main = ""] = argv;
    const isTerminal = stdin.isTTY && stdout.isTTY && env["TERM"] !== "dumb";
    const { unicode } = context.stdoutStyle;
    return runDemo({
      program: [execPath, ...execArgv, main],
      driver,
      view: script || !isTerminal ? null : { style: context.stdoutStyle },
      style: { unicode, paint: paintFor(context.stdoutStyle) },
      print: context.print,
      signal: context.signal,
    });
  },
});
