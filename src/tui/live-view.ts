// The live view while it is shown: its data source and screens, and what its end restores.

import { connectionTo, startDaemonConnection } from "../api/client/daemon-connection.ts";
import type { HttpEndpoint } from "../api/client/http-exchange.ts";
import { MountaineerError } from "../runtime/errors.ts";
import type { TerminalStyle } from "../runtime/text/paint.ts";
import { settlesWithin, systemClock } from "../runtime/time/clock.ts";
import { createScreens } from "./screens.ts";
import { startSyncSession } from "./sync/sync-session.ts";
import { createFrame, type Frame, type Strip } from "./terminal/frame.ts";
import { createPrompt } from "./terminal/prompt.ts";
import { createRedraws, renderApp } from "./tui-app.ts";

/** How long to wait for a save under way when the user leaves, ms. */
const SAVE_WAIT_MS = 5_000;
const UNCAUGHT = ["uncaughtException", "unhandledRejection"] as const;

export interface TuiOptions {
  /** The home directory, absolute. */
  readonly home: string;
  /** The file that `--config` names, absolute; null if it is not given. */
  readonly configPath: string | null;
  /** The address of another machine's daemon; null: the daemon of `home`. */
  readonly endpoint: HttpEndpoint | null;
  readonly style: Pick<TerminalStyle, "color" | "unicode">;
  /** Key of the first screen; null: the dashboard. */
  readonly screen: string | null;
  /** Lines above every screen. */
  readonly strip?: Strip;
  /** Ends the live view. */
  readonly signal: AbortSignal;
}

export async function showLiveView(options: TuiOptions): Promise<void> {
  const { home, configPath, endpoint, style, screen, strip, signal } = options;
  signal.throwIfAborted();
  const leave = new AbortController();
  const until = AbortSignal.any([signal, leave.signal]);
  const link = startDaemonConnection({ connect: connectionTo(home, endpoint, until), signal: until });
  const session = startSyncSession({ link, configPath, signal: until });
  const prompt = createPrompt(until);
  using redraws = createRedraws(systemClock);
  const context = {
    link,
    prompt,
    signal: until,
    clock: systemClock,
    sync: session,
  };
  const screens = createScreens(context, (key) => frame.show(key));
  const frame: Frame = createFrame({
    screens,
    ...(screen === null ? {} : { first: screen }),
    prompt,
    connection: link.connection,
    strip: strip ?? null,
    onChange: redraws.due,
    signal: until,
  });
  const app = renderApp({ frame, redraws, style });
  const end = (): void => app.unmount();
  signal.addEventListener("abort", end, { once: true });
  // The input ends when the terminal is closed.
  process.stdin.once("end", end);
  // Leaves the alternate screen before an uncaught error's message is printed: the message would be lost there.
  for (const event of UNCAUGHT) process.prependListener(event, end);
  try {
    // The session rejects if the daemon uses another configuration.
    await Promise.race([app.waitUntilExit(), session.ended]);
    // The terminal is restored already, so that a failed save can be reported on it.
    if (!signal.aborted) await untilSaved(frame, signal);
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

/**
 * Waits for saves under way. Rejects with `config_unwritable` if one failed, and with `timed_out` if one takes too
 * long.
 */
async function untilSaved(frame: Frame, signal: AbortSignal): Promise<void> {
  const saved = frame.saved();
  const clock = systemClock;
  if (!(await settlesWithin(clock, SAVE_WAIT_MS, saved))) {
    throw new MountaineerError("timed_out", "you left before the daemon answered whether it saved", {
      hint: "mountaineer config show prints the file",
    });
  }
  const failure = await saved;
  signal.throwIfAborted();
  if (failure !== null) throw new MountaineerError("config_unwritable", `not saved: ${failure}`);
}
