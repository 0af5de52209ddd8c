// The command `mountaineer switch`.

import type { InputOf } from "../../api/operations/operations.ts";
import { MountaineerError } from "../../runtime/errors.ts";
import { shellCommand } from "../../runtime/text/plain-text.ts";
import { type CommandContext, command, type ParsedInput } from "../input/command.ts";
import { SHARE_OPTIONS, showResult } from "../input/options.ts";
import { callDaemon } from "../sessions/control-session.ts";
import { RUNNING_BACKENDS } from "../sessions/gateway-session.ts";
import { runSteps, STEP_EXITS } from "../sessions/step-command.ts";

const SWITCH_TARGETS: readonly InputOf<"switchRoute">["to"][] = ["tb", "fallback", "auto"];

/** Options that only apply to shares, and cannot be combined with --backend. */
const OPEN_FILES_OPTIONS = {
  "--force": {
    about: "even if files are open; programs that use them get errors",
    conflicts: ["wait"],
  },
  "--wait": "wait until open files are closed; Ctrl-C gives up",
} as const;

export const switchCommand = command("switch", {
  takesUrl: true,
  summary: "move shares or a server to a route by hand, or back to automatic",
  description:
    "Shares: tb switches at once, if that host answers; fallback stays across restarts, until auto or its failure. Open files delay only a share that is remounted. An MCP server moves when the route is ready, and calls in flight finish on the old one. A route after the first stays until auto.",
  examples: {
    "mountaineer switch --share CORE --to tb": "back to the preferred route now",
    "mountaineer switch --share CORE --to tb --wait": "as soon as open files are closed",
    "mountaineer switch --to fallback": "all shares to fallback, before pulling the cable",
    "mountaineer switch --to auto": "back to automatic",
    "mountaineer switch --backend files --to lan": "serve an MCP server over another route",
  },
  exits: {
    ...STEP_EXITS,
    0: "every share succeeded or was skipped; or the server uses that route",
    1: "a share failed, or the server stays on its old route",
  },
  takes: {
    ...SHARE_OPTIONS,
    "--backend <name>": {
      about: "an MCP server with several routes, instead of shares",
      completes: "backends",
    },
    "--to <route>": {
      about: "where to (with --backend: a route's name, or auto)",
      choices: SWITCH_TARGETS,
      isOpen: true,
      isRequired: true,
    },
    ...OPEN_FILES_OPTIONS,
  },
  run(context, given) {
    const { backend, force, wait } = given;
    if (backend !== null) return switchBackend(context, given, { backend, to: given.to });
    const to = SWITCH_TARGETS.find((target) => target === given.to);
    if (to === undefined) {
      const choices = `Allowed choices are ${SWITCH_TARGETS.join(", ")}`;
      const message = `option '--to <route>' argument '${given.to}' is invalid. ${choices} (of shares).`;
      throw new MountaineerError("usage", message, {
        hint: `a route of a server: ${shellCommand`mountaineer switch --backend NAME --to ${given.to}`}; mountaineer switch --help`,
      });
    }
    return runSteps(context, given, (call, shares, signal) =>
      call("switchRoute", { to, force, wait, shares }, signal),
    );
  },
});

async function switchBackend(
  context: CommandContext,
  { share, all, force, wait }: ParsedInput<typeof SHARE_OPTIONS & typeof OPEN_FILES_OPTIONS>,
  request: InputOf<"switchBackend">,
): Promise<number> {
  const other = share.length > 0 ? "share" : all ? "all" : force ? "force" : wait ? "wait" : null;
  if (other !== null) {
    throw new MountaineerError("usage", `option '--${other}' cannot be used with option '--backend <name>'`, {
      hint:
        other === "share" || other === "all"
          ? "shares and servers take a command each"
          : "a server is ready over the new route before it leaves the old one; mountaineer switch --help",
    });
  }
  const { renderBackendSwitch } = await import("../views/results-view.ts");
  const report = await callDaemon(context, RUNNING_BACKENDS, "switchBackend", request);
  showResult(context, report, () => renderBackendSwitch(report, context.stdoutStyle));
  return report.result === "failed" ? 1 : 0;
}
