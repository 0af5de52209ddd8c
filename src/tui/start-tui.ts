// Starts the live view: its data source, its screens, and the terminal, which it restores at the end.

import { MountaineerError } from "../runtime/errors.ts";
import { settledWithin, systemClock } from "../runtime/time/clock.ts";
import type { SyncSession } from "./sync/sync-session.ts";
import type { TuiStyle } from "./terminal/terminal-style.ts";

/** How long a save under way is waited for when a person leaves, ms. */
const SAVE_WAIT_MS = 5_000;
const UNCAUGHT = ["uncaughtException", "unhandledRejection"] as const;

interface TuiOptions {
  /** Absolute. */
  readonly home: string;
  /** What `--config` names, absolute; null when it is not given. */
  readonly configPath: string | null;
  readonly style: TuiStyle;
  /** Ends it. */
  readonly signal: AbortSignal;
}

/**
 * Shows the home's daemon on the process's terminal, which must be one, until a person leaves or `signal` aborts; the
 * terminal then is as it was. Waits for a daemon where none runs. Rejects with the signal's reason, and with `usage`
 * when the daemon uses another configuration than `configPath`.
 */
export async function startTui({ home, configPath, style, signal }: TuiOptions): Promise<void> {
  prepareEnvironment(style.color);
  const [
    { createElement },
    { render },
    { TuiApp },
    { createFrame },
    { createSyncScreen },
    { createApproveScreen },
    { startApproveSession },
    { startSyncSession },
    { createDaemonSource },
  ] = await Promise.all([
    import("react"),
    import("ink"),
    import("./tui-app.ts"),
    import("./terminal/frame.ts"),
    import("./sync/sync-screen.ts"),
    import("./approve/approve-screen.ts"),
    import("./approve/approve-session.ts"),
    import("./sync/sync-session.ts"),
    import("./daemon-source.ts"),
  ]);
  signal.throwIfAborted();
  const leave = new AbortController();
  const source = createDaemonSource({ home, configPath });
  const until = AbortSignal.any([signal, leave.signal]);
  const session = startSyncSession(source, until);
  const approving = startApproveSession(source, session.status, until);
  const screens = [
    createSyncScreen(session, style),
    createApproveScreen(approving, session.connection),
  ] as const;
  const app = render(createElement(TuiApp, { screens, frame: createFrame(screens), style }), {
    alternateScreen: true,
    incrementalRendering: true,
    // A terminal is there; that it may be a build machine's does not matter.
    interactive: true,
    exitOnCtrlC: false,
    patchConsole: false,
  });
  const end = (): void => app.unmount();
  signal.addEventListener("abort", end, { once: true });
  // The terminal is gone: nobody is left to leave.
  process.stdin.once("end", end);
  // Before whoever tells of what nobody caught: on the other screen buffer it would be told to nobody.
  for (const event of UNCAUGHT) process.prependListener(event, end);
  try {
    // The session ends by itself only if following the daemon can never work.
    await Promise.race([app.waitUntilExit(), session.ended]);
    // The terminal is back already; what was asked for is not dropped without a word.
    if (!signal.aborted) await untilSaved(session, signal);
  } finally {
    leave.abort();
    app.unmount();
    await app.waitUntilExit();
    signal.removeEventListener("abort", end);
    process.stdin.off("end", end);
    for (const event of UNCAUGHT) process.off(event, end);
  }
  signal.throwIfAborted();
}

/** Rejects with `config_unwritable` for what was not saved, `timed_out` where no answer came. */
async function untilSaved(session: SyncSession, signal: AbortSignal): Promise<void> {
  const saved = session.saved();
  const clock = systemClock;
  if (!(await settledWithin(clock, SAVE_WAIT_MS, saved))) {
    throw new MountaineerError("timed_out", "left before the daemon answered whether it saved", {
      hint: "mountaineer config show tells what the file says",
    });
  }
  const failure = await saved;
  signal.throwIfAborted();
  if (failure !== null) throw new MountaineerError("config_unwritable", `not saved: ${failure}`);
}

/**
 * The view library reads these once, when it is loaded: its slow checks, a debugger that is not installed, and whether
 * there are colours, which it would decide anew (a variable CI is enough for none).
 */
function prepareEnvironment(color: boolean): void {
  process.env["FORCE_COLOR"] = color ? "1" : "0";
  process.env["NODE_ENV"] ??= "production";
  delete process.env["DEV"];
}
