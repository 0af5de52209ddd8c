// The command `mountaineer switch`.
import { Option } from "commander";
import type { BackendSwitchRequest } from "../../api/requests.ts";
import { MountaineerError } from "../../runtime/errors.ts";
import { shellWord } from "../../runtime/text/plain-text.ts";
import type { CommandContext, CommandDefinition, GivenOptions } from "../input/command.ts";
import {
  addJsonOption,
  addShareOptions,
  readFlag,
  readText,
  SWITCH_TARGETS,
  showResult,
} from "../input/options.ts";
import { runSteps, STEP_EXITS } from "../sessions/step-command.ts";

export const switchCommand: CommandDefinition = {
  name: "switch",
  summary: "move shares or a backend to a route by hand, or back to the rules",
  description:
    "Of shares, tb switches at once if the Thunderbolt host answers, else changes nothing. fallback switches and holds the " +
    "share there, over restarts too. auto ends that: back to automatic. With files open it is busy; --wait " +
    "waits for them, --force does not care. With --backend, the name of a route goes over to that route as soon as it " +
    "is ready, and calls in flight end where they are; a route that is not the first one holds the backend there.",
  examples: [
    { command: "mountaineer switch --share CORE --to tb", does: "back to Thunderbolt now" },
    { command: "mountaineer switch --share CORE --to tb --wait", does: "as soon as open files are closed" },
    { command: "mountaineer switch --to fallback", does: "all shares to fallback, before pulling the cable" },
    { command: "mountaineer switch --to auto", does: "let the rules decide again" },
    { command: "mountaineer switch --backend files --to lan", does: "serve a backend over another route" },
  ],
  exits: {
    ...STEP_EXITS,
    0: "every share ended as asked, or was skipped; or the backend is served over that route",
    1: "a share failed, or the backend stays on its route",
  },
  addOptions(command) {
    addShareOptions(command);
    command
      .option("--backend <name>", "a backend with several routes, instead of shares")
      .addOption(
        new Option("--to <route>", "where to: with --backend the name of a route or auto, of shares")
          .choices(SWITCH_TARGETS)
          .argParser((text) => text)
          .makeOptionMandatory(),
      )
      .addOption(
        new Option(
          "--force",
          "although files are open or unsent; programs that use them get errors",
        ).conflicts("wait"),
      )
      .option("--wait", "wait until open files are closed; Ctrl-C gives up");
    addJsonOption(command);
  },
  run(context, options) {
    const given = readText(options, "to") ?? "";
    const backend = readText(options, "backend");
    if (backend !== null) return switchBackend(context, options, { backend, to: given });
    const to = SWITCH_TARGETS.find((target) => target === given);
    if (to === undefined) {
      const choices = `Allowed choices are ${SWITCH_TARGETS.join(", ")}`;
      const message = `option '--to <route>' argument '${given}' is invalid. ${choices} (of shares).`;
      throw new MountaineerError("usage", message, {
        hint: `a route of a backend: mountaineer switch --backend NAME --to ${shellWord(given)}; mountaineer switch --help`,
      });
    }
    const request = { to, force: readFlag(options, "force"), wait: readFlag(options, "wait") };
    return runSteps(context, options, "switch", (ask, shares, signal) =>
      ask("switchRoute", { ...request, shares }, signal),
    );
  },
};

async function switchBackend(
  context: CommandContext,
  options: GivenOptions,
  request: BackendSwitchRequest,
): Promise<number> {
  for (const name of ["share", "all", "force", "wait"]) {
    if (options[name] === undefined) continue;
    throw new MountaineerError("usage", `option '--${name}' cannot be used with option '--backend <name>'`, {
      hint:
        name === "share" || name === "all"
          ? "shares and backends take a command each"
          : "a backend is ready over the new route before it leaves the old one; mountaineer switch --help",
    });
  }
  const { askDaemon } = await import("../sessions/control-session.ts");
  const { RUNNING_BACKENDS } = await import("../sessions/gateway-session.ts");
  const { renderBackendSwitch } = await import("../views/gateway-view.ts");
  const report = await askDaemon(context, RUNNING_BACKENDS, "switchBackend", request);
  showResult(context, options, report, () => renderBackendSwitch(report, context.stdoutStyle));
  return report.result === "failed" ? 1 : 0;
}
