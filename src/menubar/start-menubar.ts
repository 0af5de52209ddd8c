// Starts the menu on this desktop, and ends it in order.
import type { Writable } from "node:stream";
import { connectToDaemon } from "../api/client/client.ts";
import { MountaineerError, recoverFrom } from "../runtime/errors.ts";
import { type Clock, systemClock } from "../runtime/time/clock.ts";
import { createDesktopPrograms, type DesktopOptions } from "./desktop/desktop-programs.ts";
import { parseAction } from "./menu/action.ts";
import { runAction } from "./menu/run-action.ts";
import { type MenuSession, startMenuSession } from "./menu/session.ts";
import type { ActionOutcome } from "./menu/world.ts";

type MenubarContext = Omit<DesktopOptions, "clock">;

type MenubarFace =
  /** An icon in the desktop's tray, through the session's D-Bus. */
  | { readonly kind: "tray" }
  /** Frames for SwiftBar or xbar. A click on a line of the menu runs `command` followed by `--act ACTION`. */
  | {
      readonly kind: "swiftbar";
      readonly output: Writable;
      readonly command: readonly string[];
      readonly isSwiftBar: boolean;
    };

interface MenubarOptions extends MenubarContext {
  readonly face: MenubarFace;
  /** Path of the log file, absolute; null: not known. */
  readonly logPath: string | null;
  /** True: starts the daemon if none runs. */
  readonly startsDaemon: boolean;
  readonly notify: (line: string) => void;
  /** Ends the menu. */
  readonly signal: AbortSignal;
}

/**
 * Shows the menu until the user quits it or `signal` aborts. Rejects with the signal's reason, and with
 * `already_running` if this desktop session shows this home's menu already.
 */
export async function startMenubar(options: MenubarOptions): Promise<void> {
  const { home, signal, notify } = options;
  signal.throwIfAborted();
  const clock = systemClock;
  const leave = new AbortController();
  const either = AbortSignal.any([signal, leave.signal]);
  const session = startMenuSession({
    ...createDesktopPrograms({ ...options, clock }),
    home,
    clock,
    signal: either,
    logPath: options.logPath,
    onQuit: () => leave.abort(),
    onOutcome: ({ ok, text }) => {
      if (!ok) notify(text);
    },
  });
  /**
   * Starts the daemon if the options say so and none runs. Called once the menu can show the daemon's state.
   */
  const startDaemon = async (): Promise<void> => {
    if (!options.startsDaemon) return;
    const daemon = await connectToDaemon(home).catch(recoverFrom("daemon_unreachable", null));
    if (daemon === null) session.act({ kind: "start" });
  };
  try {
    // Before the signal, the session ends only with an error.
    await Promise.race([showFace(options, session, { clock, signal: either, startDaemon }), session.ended]);
  } finally {
    leave.abort();
    await session.ended;
  }
  signal.throwIfAborted();
}

interface FaceTools {
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly startDaemon: () => Promise<void>;
}

async function showFace(
  { face, home, environment, notify }: MenubarOptions,
  session: MenuSession,
  { clock, signal, startDaemon }: FaceTools,
): Promise<void> {
  if (face.kind === "tray") {
    const { runTray } = await import("./tray/run-tray.ts");
    await runTray({ session, home, environment, clock, signal, notify, onFirstShown: startDaemon });
  } else {
    await startDaemon();
    const { streamFrames } = await import("./swiftbar/stream-frames.ts");
    await streamFrames(session, face.output, face, signal);
  }
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
  const nothing = { action, ok: true, text: "nothing to do", hint: null, results: [] };
  if (action.kind === "dismiss") return nothing;
  if (action.kind !== "quit") return runAction(action, { ...programs, home: context.home, clock }, signal);
  // SwiftBar runs the menu in another process, which ends when its plugin is disabled.
  const url = "swiftbar://disableplugin?name=mountaineer";
  await programs.openPath(url);
  return { ...nothing, text: "quit" };
}
