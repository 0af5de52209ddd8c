// The command `mountaineer run`: a script that calls tools, from a file or from stdin.
import { open } from "node:fs/promises";
import type { Readable } from "node:stream";
import { errorText, MountaineerError } from "../../runtime/errors.ts";
import { printable } from "../../runtime/text/plain-text.ts";
import { command } from "../input/command.ts";
import { show } from "../sessions/control-session.ts";

/** More than the gateway takes of a script, in bytes. */
const MOST_BYTES = 1024 * 1024;
const LIMITS = {
  mostBytes: MOST_BYTES,
  tooLong: () => new MountaineerError("usage", `the script is longer than ${MOST_BYTES} bytes`),
};

export const runCommand = command("run", {
  takesUrl: true,
  summary: "run a script that calls tools",
  description:
    'TypeScript or JavaScript in the gateway\'s sandbox: `await tools["name"](args)` calls a tool, `console.log` writes a log, ' +
    "`return` gives the result. Destructive tools are called without a question. Needs `[scripts].enabled`. Without a " +
    "daemon it starts the servers.",
  examples: {
    "mountaineer run report.ts": "run a script",
    "mountaineer run - < report.ts": "from stdin",
    "mountaineer run report.ts --json | jq .structuredContent.result": "use the result in a shell script",
  },
  exits: { 1: "the script failed, with what had been done (on stderr)", 2: "the file cannot be read" },
  takes: { "<file>": "the script's file, or - for stdin" },
  async run(context, { file }) {
    const { answerJson, answerText, callFailure } = await import("../views/tools-view.ts");
    const { signal } = context;
    const script = await readScript(file, context.stdin, signal);
    const request = { tool: "run_script", arguments: { script } };
    const report = await show(context, "call", request).catch((error: unknown) => {
      if (!(error instanceof MountaineerError) || error.code !== "tool_unknown") throw error;
      throw new MountaineerError("tool_failed", "scripts are off", {
        hint: "`mountaineer config set scripts.enabled true` switches them on",
      });
    });
    if (context.json && report.result !== null) context.print(answerJson(report.result));
    const failure = callFailure(report);
    if (failure !== null) throw new MountaineerError("tool_failed", failure);
    if (!context.json) context.print(answerText(report, { isTerminal: context.isTerminal }));
  },
});

async function readScript(file: string, stdin: Readable, signal: AbortSignal): Promise<string> {
  const { readInput } = await import("../input/standard-input.ts");
  if (file === "-") return (await readInput(stdin, signal, LIMITS)).toString("utf8");
  try {
    await using handle = await open(file);
    return (await readInput(handle.createReadStream(), signal, LIMITS)).toString("utf8");
  } catch (error) {
    if (error instanceof MountaineerError) throw error;
    const isMissing = error instanceof Error && "code" in error && error.code === "ENOENT";
    const why = isMissing
      ? `there is no file ${printable(file)}`
      : `the script cannot be read: ${errorText(error)}`;
    throw new MountaineerError("usage", why, { cause: error });
  }
}
