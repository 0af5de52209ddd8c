// The daemon's end of the two pipes to `bin/service-keeper.sh`, the process that a service manager knows.
import { constants, fstatSync, openSync, writeSync } from "node:fs";
import { Socket } from "node:net";

/** Descriptors, as the script has them. */
const WORDS = 3;
const SIGNALS = 4;
const MARK = "MOUNTAINEER_KEEPER";

export interface ServiceKeeper {
  /** What a successor gets, to be kept by the same one. */
  readonly descriptors: readonly [number, number];
  readonly environment: Readonly<Record<string, string>>;
  /** From now on the signals that come to the keeper are this process's, and so is the last word. */
  takeCharge(): void;
  /** Signals are this process's again; nothing changes where they are. */
  hearAgain(): void;
  /** Signals that come from now on wait for the successor. */
  stopHearing(): void;
  /** The last word, too, is the successor's. */
  giveUpCharge(): void;
}

/** Null: this process has none. Takes its mark out of the environment, so that no program believes to be kept. */
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
  // Another opening of the same pipe: this one is closed before a handover, that one the successor still has to get.
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
