// Starts the live view: its data source, its screens, and the terminal, which it restores at the end.

import type { HttpEndpoint } from "../api/client/http-exchange.ts";
import { MountaineerError } from "../runtime/errors.ts";
import { settledWithin, systemClock } from "../runtime/time/clock.ts";
import type { Frame, Strip } from "./terminal/frame.ts";
import type { TuiStyle } from "./terminal/terminal-style.ts";

/** How long a save under way is waited for when a person leaves, ms. */
const SAVE_WAIT_MS = 5_000;
/** How long an editor that is told to end is waited for, ms. */
const EDITOR_END_MS = 5_000;
const UNCAUGHT = ["uncaughtException", "unhandledRejection"] as const;

export interface TuiOptions {
  /** Absolute. */
  readonly home: string;
  /** What `--config` names, absolute; null when it is not given. */
  readonly configPath: string | null;
  /** The daemon of another machine; null: that of this home. */
  readonly endpoint: HttpEndpoint | null;
  readonly style: TuiStyle;
  /** Key of the screen that is shown first; null: the dashboard. */
  readonly screen: string | null;
  /** Over every screen. */
  readonly strip?: Strip;
  /** Until disposal Ctrl-C is another program's. */
  readonly yieldInterrupts: () => Disposable;
  /** Ends it. */
  readonly signal: AbortSignal;
}

/**
 * Shows the home's daemon on the process's terminal, which must be one, until a person leaves or `signal` aborts; the
 * terminal then is as it was. Waits for a daemon where none runs. Rejects with the signal's reason, and with `usage`
 * when the daemon uses another configuration than `configPath`.
 */
export async function startTui(options: TuiOptions): Promise<void> {
  const { home, configPath, endpoint, style, screen, strip, yieldInterrupts, signal } = options;
  prepareEnvironment(style.color);
  // Before anything is drawn: the terminal would show keys typed meanwhile, and move what is drawn.
  process.stdin.setRawMode(true);
  const [
    { renderApp },
    { createFrame },
    { createRedraws },
    { createPrompt },
    { createLentTerminal },
    { createScreens },
    { endpointConnection, homeConnection, startDaemonLink },
    { startSyncSession },
    { createDaemonSource },
  ] = await Promise.all([
    import("./tui-app.ts"),
    import("./terminal/frame.ts"),
    import("./terminal/redraws.ts"),
    import("./terminal/prompt.ts"),
    import("./terminal/lent-terminal.ts"),
    import("./screens.ts"),
    import("./link/daemon-link.ts"),
    import("./sync/sync-session.ts"),
    import("./daemon-source.ts"),
  ]);
  signal.throwIfAborted();
  const leave = new AbortController();
  const until = AbortSignal.any([signal, leave.signal]);
  const connect = endpoint === null ? homeConnection(home) : endpointConnection(endpoint, until);
  const link = startDaemonLink({ connect, signal: until });
  const source = createDaemonSource({ link, configPath });
  const session = startSyncSession(source, until);
  const prompt = createPrompt(until);
  const lent = createLentTerminal(yieldInterrupts, until);
  using redraws = createRedraws(systemClock);
  const context = {
    link,
    prompt,
    edit: lent.edit,
    style,
    signal: until,
    clock: systemClock,
    sync: session,
    approvals: source,
  };
  const screens = createScreens(context, (key) => frame.show(key));
  const frame: Frame = createFrame({
    screens,
    ...(screen === null ? {} : { first: screen }),
    prompt,
    connection: link.connection,
    strip: strip ?? null,
    onChange: redraws.ask,
    signal: until,
  });
  const app = renderApp({ frame, redraws, lent, style });
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
    if (!signal.aborted) await untilSaved(frame, signal);
  } finally {
    leave.abort();
    app.unmount();
    await app.waitUntilExit();
    signal.removeEventListener("abort", end);
    process.stdin.off("end", end);
    for (const event of UNCAUGHT) process.off(event, end);
    const ended = lent.editing?.catch((error: unknown) => {
      // It says where what was written is kept.
      if (signal.aborted) throw error;
    });
    if (ended !== undefined) await settledWithin(systemClock, EDITOR_END_MS, ended);
  }
  signal.throwIfAborted();
}

/** Rejects with `config_unwritable` for what was not saved, `timed_out` where no answer came. */
async function untilSaved(frame: Frame, signal: AbortSignal): Promise<void> {
  const saved = frame.saved();
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

/** The view library would decide anew whether there are colours, once, when it is loaded: a variable CI is enough for none. */
function prepareEnvironment(color: boolean): void {
  process.env["FORCE_COLOR"] = color ? "1" : "0";
}
