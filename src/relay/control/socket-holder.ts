// The socket holder: a shell that holds the relay's listening sockets, and starts the relay again when it dies.
import type { ChildProcess } from "node:child_process";
import type { Server } from "node:net";
import { errorText } from "../../runtime/errors.ts";
import { shareWrites } from "../../runtime/files/durable-value.ts";
import type { Logger } from "../../runtime/log/log.ts";
import { spawnChild } from "../../runtime/process/child-process.ts";
import { type ProcessIdentity, processIdentity } from "../../runtime/process/process-identity.ts";
import { type Clock, settlesWithin } from "../../runtime/time/clock.ts";

const GO_WITHIN_MS = 1_000;
const AGAIN_AFTER_FAILURE_MS = 500;
/**
 * Pause before the replacement of a socket holder that SIGTERM has ended, ms. A system that shuts down ends the socket holder and
 * then the relay, and a new socket holder would start the relay again.
 */
const AGAIN_AFTER_SIGTERM_MS = 250;
export const FIRST_INHERITED = 3;

/**
 * `$1` is the program to start, `$2` the home, `$3` the number of sockets, from descriptor 3 on. Only the
 * relay has the other end of the script's stdin: "bye" ends the script, and an end of stdin without "bye"
 * means that the relay died.
 */
export const KEEP_SOCKETS_SCRIPT = `#!/bin/sh
# Keeps the relay's ports open, and restarts the relay if it dies without a farewell.
trap '' HUP INT QUIT PIPE
while IFS= read -r line; do
  if [ "$line" = bye ]; then exit 0; fi
done
exec </dev/null
tries=0
while [ "$tries" -lt 100 ]; do
  # The program ends this shell once another shell holds the ports, and exits with 0 when it has nothing to relay.
  MOUNTAINEER_KEEPER=$$ /bin/sh "$1" "$2" "$3"
  if [ $? -eq 0 ]; then exit 0; fi
  tries=$((tries + 1))
  if [ "$tries" -gt 3 ]; then sleep 1; fi
done
`;

export type SocketHolder = ReturnType<typeof createSocketHolder>;

interface SocketHolderOptions {
  readonly script: string;
  readonly program: string;
  readonly home: string;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Called when a new socket holder has the ports, before the previous one ends; null: there are no ports. */
  readonly onChange: (identity: ProcessIdentity | null) => Promise<void>;
}

export function createSocketHolder(options: SocketHolderOptions) {
  const { clock, logger } = options;
  let current: { child: ChildProcess; identity: ProcessIdentity | null } | null = null;
  let servers: readonly Server[] = [];
  let ended = false;

  const start = async (): Promise<void> => {
    if (servers.length === 0) {
      current = null;
      await options.onChange(null);
      return;
    }
    const descriptors = servers.map(descriptorOf);
    const args = [options.script, options.program, options.home, String(descriptors.length)];
    const child = spawnChild("/bin/sh", args, {
      cwd: "/",
      detached: true,
      // The output of the socket holder and of the next relay is dropped.
      stdio: ["pipe", "ignore", "ignore", ...descriptors],
    });
    child.on("error", (error) =>
      logger.error("the socket holder cannot be started", { error: errorText(error) }),
    );
    child.stdin?.on("error", () => {});
    if (child.pid === undefined) throw new Error("the socket holder cannot be started");
    const started = { child, identity: await processIdentity(child.pid) };
    current = started;
    child.once("exit", (_, signal) => {
      if (current !== started) return;
      logger.warn("the socket holder ended and is restarted", { signal });
      if (signal === "SIGTERM") clock.setTimer(AGAIN_AFTER_SIGTERM_MS, () => void changes.write());
      else void changes.write();
    });
    // The process may have exited before the listener was registered.
    if (child.exitCode !== null || child.signalCode !== null)
      throw new Error("the socket holder ended at once");
    await options.onChange(started.identity);
  };
  const changes = shareWrites(async (): Promise<void> => {
    if (ended) return;
    const before = current;
    try {
      await start();
    } catch (error) {
      current = before;
      logger.error("cannot start a new socket holder", { error: errorText(error) });
      clock.setTimer(AGAIN_AFTER_FAILURE_MS, () => void changes.write());
      return;
    }
    if (before !== null) await dismiss(before.child);
  });
  const dismiss = async (child: ChildProcess): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise<void>((resolve) => child.once("exit", () => resolve()));
    child.stdin?.end("bye\n");
    if (await settlesWithin(clock, GO_WITHIN_MS, gone)) return;
    child.kill("SIGKILL");
    await settlesWithin(clock, GO_WITHIN_MS, gone);
  };
  return {
    get identity(): ProcessIdentity | null {
      return current?.identity ?? null;
    },
    /** Replaces the sockets. Resolves when the new socket holder has them and the previous one has ended. */
    replace(next: readonly Server[]): Promise<void> {
      servers = [...next];
      return changes.write();
    },
    /** Ends the socket holder, so that the relay is not started again. */
    async [Symbol.asyncDispose]() {
      ended = true;
      await changes.whenIdle;
      const last = current;
      current = null;
      if (last !== null) await dismiss(last.child);
    },
  };
}

/** Reads Node's internal handle, because there is no public API; on POSIX systems the handle has an `fd`. */
function descriptorOf(server: Server): number {
  // The types do not have the handle; it is checked before use.
  const { _handle: handle } = server as unknown as { readonly _handle?: { readonly fd?: unknown } | null };
  const fd = handle?.fd;
  if (typeof fd !== "number" || fd < 0) throw new Error("the listening socket has no descriptor");
  return fd;
}
