// Owns the programs a click starts: whatever shows a path here, and the daemon. Both outlive the menu.
import { connectToDaemon } from "../api/client.ts";
import { type DetachedProcess, startDetached } from "../runtime/child-process.ts";
import type { Clock } from "../runtime/clock.ts";
import { ERROR_CODES, type ErrorCode, MountaineerError } from "../runtime/errors.ts";

/** One that cannot show a path says so at once; one that can may run for as long as its window. */
const REFUSAL_WAIT_MS = 3_000;
const BETWEEN_LOOKS_MS = 100;

export interface DesktopPrograms {
  /** Rejects with `program_unavailable` when nothing could be started, or it refused at once. */
  openPath(path: string, signal: AbortSignal): Promise<void>;
  /** Resolves once a daemon of this home answers; rejects with what it ended with. */
  startDaemon(signal: AbortSignal): Promise<void>;
}

export interface DesktopOptions {
  readonly home: string;
  /** The program and its first arguments: what runs this very version. */
  readonly program: readonly string[];
  /** What `--config` names, absolute; null when it is not given. */
  readonly configPath: string | null;
  /** `xdg-open`, `open` */
  readonly opener: string;
  /** The session's: what is opened belongs to it, and the daemon's secrets may be in it. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
}

export function createDesktopPrograms(options: DesktopOptions): DesktopPrograms {
  const { home, program, configPath, opener, clock } = options;
  const env = Object.fromEntries(
    Object.entries(options.environment).flatMap(([name, value]) =>
      value === undefined ? [] : [[name, value]],
    ),
  );
  return {
    async openPath(path, signal) {
      const child = await startDetached(opener, [path], { env, logPath: null });
      const exit = await exitWithin(child, clock, REFUSAL_WAIT_MS, signal);
      if (exit !== null && exit !== 0)
        throw new MountaineerError("program_unavailable", `${opener} cannot show it (exit code ${exit})`, {
          hint: `try it in a terminal: ${opener} ${path}`,
        });
    },
    async startDaemon(signal) {
      const [file = "", ...first] = program;
      const config = configPath === null ? [] : ["--config", configPath];
      const child = await startDetached(file, [...first, ...config, "monitor"], { env, logPath: null });
      let ended: number | null = null;
      child.onExit(({ code }) => {
        ended = code ?? 1;
      });
      while ((await connectToDaemon(home, { clock })) === null) {
        signal.throwIfAborted();
        // Another one that came first serves soon.
        if (ended !== null && ended !== ERROR_CODES.already_running.exit) throw endedAtOnce(ended);
        await clock.sleep(BETWEEN_LOOKS_MS, signal);
      }
    },
  };
}

function endedAtOnce(exitCode: number): MountaineerError {
  const known = Object.entries(ERROR_CODES).find(
    ([code, { exit }]) => exit === exitCode && (STARTING_ERRORS as readonly string[]).includes(code),
  );
  const why = known === undefined ? `exit code ${exitCode}` : known[1].means;
  return new MountaineerError("program_unavailable", `Mountaineer ended at once: ${why}`, {
    hint: "see what it says in a terminal: mountaineer monitor",
  });
}

/** Of the codes that share an exit code, the ones a start ends with. */
const STARTING_ERRORS: readonly ErrorCode[] = ["config_invalid", "state_newer", "home_unwritable"];

/** null: it runs on, or a signal ended it. */
async function exitWithin(
  child: DetachedProcess,
  clock: Clock,
  limitMs: number,
  signal: AbortSignal,
): Promise<number | null> {
  const limit = Promise.withResolvers<null>();
  const timer = clock.setTimer(limitMs, () => limit.resolve(null));
  const onAbort = (): void => limit.resolve(null);
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    return await Promise.race([child.exited.then(({ code }) => code), limit.promise]);
  } finally {
    timer[Symbol.dispose]();
    signal.removeEventListener("abort", onAbort);
  }
}
