// The daemon's end of the two pipes to `bin/service-keeper.sh`, the main process of the service.
import { constants, fstatSync, openSync, writeSync } from "node:fs";
import { Socket } from "node:net";
import { valueOr } from "../errors.ts";

/** Descriptors of the pipes, as in the script. */
const EXIT_CODES = 3;
const SIGNALS = 4;
const MARK = "MOUNTAINEER_KEEPER";

export type ServiceSupervisor = NonNullable<ReturnType<typeof findServiceSupervisor>>;

/**
 * Finds the keeper that started this process; null: there is none. Removes the variable that announces the
 * keeper from `environment`, so that no child takes the pipes for its own.
 */
export function findServiceSupervisor(environment: NodeJS.ProcessEnv) {
  const isMarked = environment[MARK] === "1";
  delete environment[MARK];
  if (!isMarked || !isPipe(EXIT_CODES) || !isPipe(SIGNALS)) return null;
  let signals: Socket | null = null;
  const reportExit = (code: number): void => {
    try {
      writeSync(EXIT_CODES, `${code}\n`);
    } catch {
      // The keeper has ended, so nothing reads the exit code.
    }
  };
  return {
    /** What a successor must inherit to have the same keeper: the pipes' descriptors, and `environment`. */
    descriptors: [EXIT_CODES, SIGNALS] as readonly [number, number],
    environment: { [MARK]: "1" } as Readonly<Record<string, string>>,
    /** Makes this process receive the keeper's signals and report the service's exit code. */
    takeCharge(): void {
      process.on("exit", reportExit);
      signals = receiveSignals();
    },
    resumeSignals(): void {
      signals ??= receiveSignals();
    },
    /** Stops receiving signals; later signals wait in the pipe for the successor. */
    pauseSignals(): void {
      signals?.destroy();
      signals = null;
    },
    /** From now on the successor reports the service's exit code, and this process does not. */
    giveUpCharge(): void {
      process.off("exit", reportExit);
    },
  };
}

function receiveSignals(): Socket {
  // The pipe is opened a second time: this process closes its own descriptor before a handover, and the
  // successor inherits the other.
  const own = openSync(`/dev/fd/${SIGNALS}`, constants.O_RDONLY | constants.O_NONBLOCK);
  const pipe = new Socket({ fd: own, readable: true, writable: false });
  const stop = (): void => void process.kill(process.pid, "SIGTERM");
  let rest = "";
  pipe.setEncoding("utf8").on("data", (text: string) => {
    const lines = `${rest}${text}`.split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) {
      if (line === "HUP") process.kill(process.pid, "SIGHUP");
      else if (line === "TERM") stop();
    }
  });
  // The keeper has ended: the service manager considers the service ended, and may start it again.
  pipe.once("end", stop);
  pipe.on("error", () => {});
  pipe.unref();
  return pipe;
}

function isPipe(descriptor: number): boolean {
  return valueOr(() => fstatSync(descriptor).isFIFO(), false);
}
