// Desktop notifications: shows some transitions through a program. Nothing waits for it, and a notification that cannot be shown
// becomes a condition.
import type { NotifyConfig } from "../../config/snapshot.ts";
import { errorText, MountaineerError } from "../../runtime/errors.ts";
import type { RuntimeTools } from "../../runtime/log/runtime-tools.ts";
import { type CommandResult, runCommand } from "../../runtime/process/child-process.ts";
import { printable } from "../../runtime/text/plain-text.ts";
import { isoTime, type Timer } from "../../runtime/time/clock.ts";
import { DAEMON_CONDITIONS, type DaemonCondition } from "../conditions/condition-rows.ts";
import type { ServiceTransition } from "../events/service-transitions.ts";
import type { ConfigApplier } from "../reload/reload-transaction.ts";
import type { Notification, Notifier } from "./notification-command.ts";
import { createNotificationQueue, type NotificationKind } from "./notification-queue.ts";

/** Shortest time between two notifications, ms. */
const APART_MS = 1_000;
/** Delay before a notification, ms: shares of one server fail together, and become one notification. */
const GATHER_MS = 300;
const SHOW_DEADLINE_MS = 3_000;
const LONGEST_REASON = 200;
/** Environment variables by which the program finds the user's desktop session. */
const PASSED_ON = ["PATH", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS"];

interface NotificationsOptions extends RuntimeTools {
  readonly settings: NotifyConfig;
  readonly notifier: Notifier;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/** Disposing ends the program that is running; no notification is shown after that. */
export type Notifications = ReturnType<typeof createNotifications>;

export function createNotifications(options: NotificationsOptions) {
  const { notifier, clock, logger } = options;
  const env = sessionEnvironment(options.environment);
  const queue = createNotificationQueue();
  const ending = new AbortController();
  let { settings } = options;
  let unavailable: DaemonCondition | null = null;
  let timer: Timer | null = null;
  let running: Promise<void> | null = null;
  let nextAtMs = 0;

  const wanted = (kind: NotificationKind): boolean => settings.enabled && settings[kind];

  const failed = (reason: string, hint: string): void => {
    if (ending.signal.aborted) return;
    const text = printable(reason).slice(0, LONGEST_REASON);
    // The failure is logged once, and again only after a notification was shown.
    if (unavailable === null) logger.warn("notifications cannot be shown", { reason: text });
    const since = unavailable?.since ?? isoTime(clock.wallMs());
    unavailable = { ...DAEMON_CONDITIONS.notify_unavailable(text, hint), since };
  };

  const run = async (args: readonly string[], stdin: string): Promise<void> => {
    try {
      const limits = { deadlineMs: SHOW_DEADLINE_MS, killGroup: true, maxOutputBytes: 4096 };
      const { signal } = ending;
      const result = await runCommand(notifier.program, args, { clock, stdin, env, signal, ...limits });
      const failure = failureOf(result);
      if (failure === null) unavailable = null;
      else failed(`${notifier.program} ${failure}`, DESKTOP_HINT);
    } catch (error) {
      const isMissing = error instanceof MountaineerError && error.retry === "never";
      failed(errorText(error), isMissing ? notifier.missingHint : DESKTOP_HINT);
    }
  };

  /** Runs one program at a time; afterwards shows the next notification. */
  const begin = (work: () => Promise<void>): void => {
    running = work().finally(() => {
      running = null;
      schedule();
    });
  };

  const show = (notification: Notification): Promise<void> => {
    nextAtMs = clock.monotonicMs() + APART_MS;
    const { args, stdin } = notifier.input(notification);
    return run(args, stdin);
  };

  const schedule = (): void => {
    if (timer !== null || queue.size === 0 || ending.signal.aborted) return;
    timer = clock.setTimer(Math.max(GATHER_MS, nextAtMs - clock.monotonicMs()), () => {
      timer = null;
      // One program runs at a time; when it has ended, this is scheduled again.
      const next = running === null ? queue.take() : null;
      if (next !== null) begin(() => show(next));
    });
  };

  const probe = (): void => {
    const { probeArgs } = notifier;
    if (!settings.enabled || probeArgs === null || running !== null || ending.signal.aborted) return;
    begin(() => run(probeArgs, ""));
  };

  const applier: ConfigApplier = {
    name: "notify",
    prepare: ({ after }) =>
      Promise.resolve({
        commit() {
          const wasOn = settings.enabled;
          settings = after.notify;
          queue.keepOnly(wanted);
          if (!wasOn) probe();
        },
      }),
  };

  return {
    /** Tests whether the program exists, if notifications are on. */
    start: probe,
    handle(transition: ServiceTransition): void {
      queue.handle(transition, wanted, clock.wallMs());
      schedule();
    },
    applier,
    /** `notify_unavailable` while notifications are on and the last one could not be shown. */
    conditions: (): DaemonCondition[] => (settings.enabled && unavailable !== null ? [unavailable] : []),
    async [Symbol.asyncDispose]() {
      ending.abort();
      timer?.[Symbol.dispose]();
      timer = null;
      await running;
    },
  };
}

const DESKTOP_HINT = "The daemon must run in the session of a desktop; or set notify.enabled to false";

/** Why the notification was not shown; null if it was. */
function failureOf({ exitCode, exitSignal, stderr, timedOut }: CommandResult): string | null {
  if (timedOut) return `did not end within ${SHOW_DEADLINE_MS / 1000} s`;
  if (exitCode === 0) return null;
  const [firstLine = ""] = stderr.trim().split("\n");
  const ended = exitCode === null ? `was ended by ${exitSignal}` : `ended with ${exitCode}`;
  return firstLine === "" ? ended : `${ended}: ${firstLine}`;
}

function sessionEnvironment(
  environment: Readonly<Record<string, string | undefined>>,
): Readonly<Record<string, string>> {
  const entries = PASSED_ON.map((name) => [name, environment[name]] as const);
  return Object.fromEntries(
    entries.flatMap(([name, value]) => (value === undefined || value === "" ? [] : [[name, value]])),
  );
}
