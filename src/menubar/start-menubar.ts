// Starts the menu for SwiftBar or xbar, and ends it in order.
import type { Writable } from "node:stream";
import { connectToDaemon } from "../api/client/client.ts";
import { MountaineerError, recoverFrom } from "../runtime/errors.ts";
import { systemClock } from "../runtime/time/clock.ts";
import { createDesktopPrograms, type DesktopOptions } from "./desktop/desktop-programs.ts";
import { parseAction } from "./menu/action.ts";
import { runAction } from "./menu/run-action.ts";
import { startMenuSession } from "./menu/session.ts";
import type { ActionOutcome } from "./menu/world.ts";
import { type PluginOptions, streamFrames } from "./swiftbar/stream-frames.ts";

type MenubarContext = Omit<DesktopOptions, "clock">;

interface MenubarOptions extends MenubarContext, PluginOptions {
  readonly output: Writable;
  /** Path of the log file, absolute; null: not known. */
  readonly logPath: string | null;
  /** True: starts the daemon if none runs. */
  readonly startsDaemon: boolean;
  readonly notify: (line: string) => void;
  /** Ends the menu. */
  readonly signal: AbortSignal;
}

/** Writes the menu until its reader is gone or `signal` aborts. Rejects with the signal's reason. */
export async function startMenubar(options: MenubarOptions): Promise<void> {
  const { home, signal, notify, logPath } = options;
  signal.throwIfAborted();
  const clock = systemClock;
  const leave = new AbortController();
  const either = AbortSignal.any([signal, leave.signal]);
  const session = startMenuSession({ home, clock, logPath, signal: either });
  const startDaemon = async (): Promise<void> => {
    const daemon = await connectToDaemon(home).catch(recoverFrom("daemon_unreachable", null));
    if (daemon !== null) return;
    const ports = { ...createDesktopPrograms({ ...options, clock }), home, clock };
    const outcome = await runAction({ kind: "start" }, ports, either);
    if (outcome.ok || either.aborted) return;
    session.showFailure(outcome);
    notify(outcome.text);
  };
  try {
    const shown = streamFrames(session, options.output, options, either);
    const started = options.startsDaemon ? startDaemon() : Promise.resolve();
    // Before the signal, the session ends only with an error.
    await Promise.race([shown, session.ended, started.then(() => shown)]);
  } finally {
    leave.abort();
    await session.ended;
  }
  signal.throwIfAborted();
}

/**
 * Runs the action that `text` encodes (see `actionText`), and resolves with its outcome. Rejects with `usage` if the text
 * is not an action.
 */
export async function runMenuAction(
  context: MenubarContext,
  text: string,
  signal: AbortSignal,
): Promise<ActionOutcome> {
  const action = parseAction(text);
  if (action === null) {
    throw new MountaineerError("usage", `${JSON.stringify(text)} is nothing that the menu can do`, {
      hint: "only the menu passes these words; mountaineer --help shows commands for people",
    });
  }
  const clock = systemClock;
  const programs = createDesktopPrograms({ ...context, clock });
  if (action.kind !== "quit") return runAction(action, { ...programs, home: context.home, clock }, signal);
  // SwiftBar runs the menu in another process, which ends when its plugin is disabled.
  const url = "swiftbar://disableplugin?name=mountaineer";
  await programs.openPath(url);
  return { action, ok: true, text: "quit", hint: null };
}
