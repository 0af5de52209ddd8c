// Runs an action of the menu: one call of the management API, or one program, each with a deadline.

import { connectToDaemon, type DaemonClient } from "../../api/client/client.ts";
import { actionsFor, actionWith, sentence } from "../../api/labels/actions.ts";
import { unlessAborted } from "../../runtime/abort.ts";
import { errorText, MountaineerError } from "../../runtime/errors.ts";
import type { Clock } from "../../runtime/time/clock.ts";
import type { DesktopPrograms } from "../desktop/desktop-programs.ts";
import type { MenuAction } from "./action.ts";
import { withDeadline } from "./deadline.ts";
import type { ActionOutcome } from "./world.ts";

/** A failover of many shares takes time. */
const STEPS_DEADLINE_MS = 120_000;
const CALL_DEADLINE_MS = 20_000;
const OPEN_DEADLINE_MS = 10_000;

/** All but the one that ends the menu. */
export type RunnableAction = Exclude<MenuAction, { kind: "quit" }>;

/** `home` is absolute. */
export interface ActionPorts extends DesktopPrograms {
  readonly home: string;
  readonly clock: Clock;
}

/** Never rejects: an error becomes the outcome. Ends at its deadline or when `signal` aborts, even if the work hangs. */
export async function runAction(
  action: RunnableAction,
  ports: ActionPorts,
  signal: AbortSignal,
): Promise<ActionOutcome> {
  const limitMs = deadlineOf(action);
  const late = new MountaineerError("timed_out", `no answer within ${limitMs / 1000} s`);
  try {
    return await withDeadline({ clock: ports.clock, limitMs, late }, signal, (until) =>
      // Some work, such as a connection attempt or a program, ends only some time after the signal has aborted.
      unlessAborted(perform(action, ports, until), until),
    );
  } catch (error) {
    const hint = error instanceof MountaineerError ? error.hint : null;
    return outcomeOf(action, false, errorText(error), hint);
  }
}

function deadlineOf({ kind }: RunnableAction): number {
  if (kind === "do") return STEPS_DEADLINE_MS;
  return kind === "open" ? OPEN_DEADLINE_MS : CALL_DEADLINE_MS;
}

function titleOf(action: RunnableAction): string {
  switch (action.kind) {
    case "do":
      return `${sentence(action.id.join(" "))}${action.force ? " by force" : ""}`;
    case "dashboard":
      return "Open the page";
    case "open":
      return `Open ${action.path}`;
    case "start":
      return "Start Mountaineer";
  }
}

async function perform(
  action: RunnableAction,
  ports: ActionPorts,
  signal: AbortSignal,
): Promise<ActionOutcome> {
  if (action.kind !== "do") {
    if (action.kind === "open") await ports.openPath(action.path);
    else if (action.kind === "dashboard") await ports.openDashboard(signal);
    else await ports.startDaemon(signal);
    return outcomeOf(action, true, action.kind === "start" ? "started" : "opened");
  }
  const daemon = await connectToDaemon(ports.home, { clock: ports.clock });
  if (daemon === null)
    throw new MountaineerError("daemon_unreachable", "Mountaineer is not running", {
      hint: "start it in this menu, or with: mountaineer up",
    });
  return doAction(action, daemon, signal);
}

/** Uses the current status: the clicked item may be out of date. */
async function doAction(
  action: Extract<MenuAction, { kind: "do" }>,
  daemon: DaemonClient,
  signal: AbortSignal,
): Promise<ActionOutcome> {
  const known = actionWith(actionsFor(await daemon.call("status", null, signal)), ...action.id);
  if (known === null) throw new MountaineerError("usage", "it is no longer configured");
  const { tone, text, hint, results } = await known.perform(daemon.call, signal, action.force);
  const failed = results.some(({ result }) => result === "busy");
  return { action, ok: tone !== "bad" && !failed, text: `${sentence(known.name)}: ${text}`, hint };
}

function outcomeOf(
  action: RunnableAction,
  ok: boolean,
  text: string,
  hint: string | null = null,
): ActionOutcome {
  return { action, ok, text: `${titleOf(action)}: ${text}`, hint };
}
