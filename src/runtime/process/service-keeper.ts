// The daemon's end of the two pipes to `bin/service-keeper.sh`, the process that a service manager knows.
import { constants, fstatSync, openSync, writeSync } from "node:fs";
import { Socket } from "node:net";

/** Descriptors, as the script has them. */
const WORDS = 3;
const SIGNALS = 4;
const MARK = "MOUNTAINEER_KEEPER";

export interface ServiceKeeper {
  /** The descriptors that a successor inherits, so that the same keeper serves it. */
  readonly descriptors: readonly [number, number];
  readonly environment: Readonly<Record<string, string>>;
  /** From now on this process receives the keeper's signals and reports how the service ended. */
  takeCharge(): void;
  /** This process receives signals again; who is in charge does not change. */
  hearAgain(): void;
  /** Signals that come from now on wait in the pipe for the successor. */
  stopHearing(): void;
  /** The successor reports how the service ended. */
  giveUpCharge(): void;
}

/** null: there is no keeper. Removes the mark from the environment, so that no child believes that it has one. */
export function findServiceKeeper(environment: NodeJS.ProcessEnv): ServiceKeeper | null {
  const isMarked = environment[MARK] === "1";
  delete environment[MARK];
  if (!isMarked || !isPipe(WORDS) || !isPipe(SIGNALS)) return null;
  let heard: Socket | null = null;
  const say = (code: number): void => {
    try {
      writeSync(WORDS, `${code}\n`);
    } catch {
      // The keeper is gone, so nobody needs the answer.
    }
  };
  return {
    descriptors: [WORDS, SIGNALS],
    environment: { [MARK]: "1" },
    takeCharge() {
      process.on("exit", say);
      heard = hear();
    },
    hearAgain() {
      heard ??= hear();
    },
    stopHearing() {
      heard?.destroy();
      heard = null;
    },
    giveUpCharge: () => void process.off("exit", say),
  };
}

function hear(): Socket {
  // A second opening of the same pipe: this one is closed before a handover, the inherited one stays for the successor.
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
  // The service manager does not know of this service any more, and may start another one.
  pipe.once("end", stop);
  pipe.on("error", () => {});
  pipe.unref();
  return pipe;
}

function isPipe(descriptor: number): boolean {
  try {
    return fstatSync(descriptor).isFIFO();
  } catch {
    return false;
  }
}
