// The programs that a click starts: openers, the browser, and the daemon.
import { startDaemon } from "../../api/client/start-daemon.ts";
import { MountaineerError } from "../../runtime/errors.ts";
import { runCommand, startDetached } from "../../runtime/process/child-process.ts";
import { type Clock, settlesWithin } from "../../runtime/time/clock.ts";

/**
 * An opener that refuses a path exits within this time. An opener that shows the path may run as long as its window.
 */
const REFUSAL_WAIT_MS = 3_000;
/** The daemon answers at once; a browser that starts may need longer. */
const DASHBOARD_DEADLINE_MS = 15_000;

export interface DesktopOptions {
  /** Absolute. */
  readonly home: string;
  /** The command that runs this version of Mountaineer. */
  readonly program: readonly string[];
  /** The file that `--config` names, absolute; null if it is not given. */
  readonly configPath: string | null;
  /** The command that opens a path: `xdg-open` or `open`. */
  readonly opener: string;
  /** The session's environment, for everything that is started. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
}

export type DesktopPrograms = ReturnType<typeof createDesktopPrograms>;

export function createDesktopPrograms(options: DesktopOptions) {
  const { home, program, configPath, opener, clock } = options;
  const env = Object.fromEntries(
    Object.entries(options.environment).flatMap(([name, value]) =>
      value === undefined ? [] : [[name, value]],
    ),
  );
  return {
    /** Shows a path. Rejects with `program_unavailable` if the opener cannot be started or refuses the path. */
    async openPath(path: string): Promise<void> {
      const child = await startDetached(opener, [path], { env, logPath: null });
      const isOver = await settlesWithin(clock, REFUSAL_WAIT_MS, child.exited);
      const exit = isOver ? await child.exited : null;
      if (exit?.code)
        throw new MountaineerError(
          "program_unavailable",
          `${opener} cannot show it (exit code ${exit.code})`,
          { hint: `try it in a terminal: ${opener} ${path}` },
        );
    },
    /** Opens the dashboard, as `mountaineer open` does. Rejects with `program_unavailable`. */
    async openDashboard(signal: AbortSignal): Promise<void> {
      const [file = "", ...first] = program;
      const limits = { clock, env, signal, deadlineMs: DASHBOARD_DEADLINE_MS };
      const { exitCode, stderr } = await runCommand(file, [...first, "open"], limits);
      if (exitCode === 0) return;
      const [why = ""] = stderr.replace(/^mountaineer: /, "").split("\n", 1);
      throw new MountaineerError("program_unavailable", why === "" ? "the browser cannot be opened" : why, {
        hint: "in a terminal: mountaineer open",
      });
    },
    /** Resolves once a daemon of this home answers; rejects with the error it has ended with. */
    async startDaemon(signal: AbortSignal): Promise<void> {
      const config = configPath === null ? [] : ["--config", configPath];
      const command = [...program, ...config, "monitor"];
      await startDaemon({ home, command, environment: env, clock, signal });
    },
  };
}
