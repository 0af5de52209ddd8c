// The command `mountaineer call`.
import { MountaineerError } from "../../runtime/errors.ts";
import { command } from "../input/command.ts";
import { JSON_OPTION } from "../input/options.ts";

export const callCommand = command({
  name: "call",
  summary: "call a tool, and print what it answers",
  description:
    "The arguments are a JSON object; - reads it from stdin, none is {}. Text is printed as it is, but for characters that " +
    "nobody sees, which are spelled out; other content is described; with --json the whole answer is printed, structuredContent and all. Waits as long as the backend's " +
    "timeouts allow; Ctrl-C cancels the call. Asks the running daemon; without one, starts the backends for this call.",
  examples: {
    [`mountaineer call read_text_file '{"path": "/tmp/notes.txt"}'`]: "call a tool",
    "mountaineer call search - < query.json": "with arguments from a file",
    'mountaineer call get-sum \'{"a": 1, "b": 2}\' --json | jq .content': "use the answer in a script",
  },
  exits: {
    1: "the tool, or its backend, answered with an error, which is on stderr",
    2: "there is no such tool, or the arguments are no JSON object",
  },
  takes: {
    "<tool>": "its name, as tools list has it",
    "[arguments]": "a JSON object, or - for stdin",
    ...JSON_OPTION,
  },
  async run(context, { tool, arguments: words }) {
    const { readToolArguments } = await import("../input/tool-arguments.ts");
    const { withGateway } = await import("../sessions/gateway-session.ts");
    const { answerJson, answerText, callFailure } = await import("../views/call-view.ts");
    const { signal } = context;
    const request = { tool, arguments: await readToolArguments(words, context.stdin, signal) };
    const report = await withGateway(context, "call", ({ ask }) => ask("call", request, signal));
    if (context.json && report.result !== null) context.print(answerJson(report.result));
    const failure = callFailure(report);
    if (failure !== null) throw new MountaineerError("tool_failed", failure);
    if (!context.json) context.print(answerText(report, { isTerminal: context.isTerminal }));
    return 0;
  },
});
