// The relay's process: `carrier.mjs HOME [SOCKETS]`. SOCKETS is the number of listening sockets that it inherits,
// from descriptor 3 on.
import { chmod } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { errorText } from "../../runtime/errors.ts";
import { ensurePrivateFolder } from "../../runtime/files/durable-file.ts";
import { waitExclusive } from "../../runtime/files/sqlite-file-lock.ts";
import type { Logger } from "../../runtime/log/log.ts";
import { startLog } from "../../runtime/log/log-file.ts";
import { isRunning } from "../../runtime/process/process-identity.ts";
import { systemClock } from "../../runtime/time/clock.ts";
import { listenForControl, relayFolder } from "../control/control-socket.ts";
import { createSocketHolder, FIRST_INHERITED } from "../control/socket-holder.ts";
import { createNegotiateProof } from "../smb/negotiate-proof.ts";
import { isPresent } from "../system/mount-presence.ts";
import { createSocketOwners } from "../system/socket-owner.ts";
import { AutonomousMode } from "./autonomous-mode.ts";
import { createControlServer } from "./control-server.ts";
import { RelayService, takeOver } from "./relay-service.ts";
import { createRelayStateFile } from "./relay-state-file.ts";

/** A new relay ends if no share is opened within this time. */
const FIRST_SHARE_WITHIN_MS = 15_000;
/**
 * After its last share is closed, a relay waits this long for another while a daemon is connected: a mount per route
 * that moves closes its port and opens the next, and the start of a new relay would take as long as the rest of the
 * move.
 */
const NEXT_SHARE_WITHIN_MS = 3_000;
const GOODBYE_WITHIN_MS = 3_000;
const LOCKED_FOR_CHECK_MS = 2_000;
const LOG_BYTES_AT_MOST = 1024 * 1024;

async function main(): Promise<void> {
  const [home, socketsText] = process.argv.slice(2);
  if (home === undefined || !home.startsWith("/")) throw new Error("usage: carrier.mjs HOME [SOCKETS]");
  const clock = systemClock;
  const folder = relayFolder(home);
  await ensurePrivateFolder(folder);
  await chmod(folder, 0o700);
  await using log = startLog({
    filePath: join(folder, "carrier.log"),
    stderr: false,
    level: "info",
    clock,
    maxFileBytes: LOG_BYTES_AT_MOST,
    // A home that was removed, for instance by `uninstall --purge`, must not be created again.
    makesFolder: false,
  });
  const { logger } = log;
  surviveMistakes(logger);
  const inheritedCount = socketsText === undefined ? 0 : Number(socketsText);

  // A relay that a daemon has just started may hold the lock for a moment. Only a process that inherited ports
  // waits for it: if this process exited with 0, its socket holder would give the ports up.
  const withinMs = inheritedCount > 0 ? LOCKED_FOR_CHECK_MS : 0;
  const lock = await waitExclusive(join(folder, "lock.db"), { clock, withinMs });
  // Another relay runs. This process ends, and with it the socket holder that started it, if any.
  if (lock === null) return;
  const stateFile = createRelayStateFile(folder, clock, logger);
  const memory = await stateFile.read();
  if (inheritedCount === 0 && memory.keeper !== null && (await isRunning(memory.keeper))) {
    // A relay has just died; its socket holder holds the ports, and is about to start the next relay.
    lock.release();
    return;
  }
  const program = fileURLToPath(import.meta.url);
  const prove = createNegotiateProof(clock);
  const ending = Promise.withResolvers<void>();
  let daemons = 0;
  const endIfEmpty = (): void => {
    if (service.isEmpty) ending.resolve();
  };
  let pause = clock.setTimer(FIRST_SHARE_WITHIN_MS, endIfEmpty);
  const control = createControlServer({
    clock,
    logger,
    service: () => service,
    program: basename(dirname(program)).replace(/^program-/u, ""),
    onDaemons(count) {
      watch.daemons(count);
      daemons = count;
      if (count === 0) endIfEmpty();
    },
    onHeard: () => watch.heard(),
  });
  const service: RelayService = new RelayService({
    clock,
    logger,
    owners: createSocketOwners(clock),
    prove,
    uid: process.getuid?.() ?? 0,
    stateFile,
    socketHolder: (onChange) =>
      createSocketHolder({
        script: join(dirname(program), "keep.sh"),
        program: join(dirname(program), "run.sh"),
        home,
        clock,
        logger,
        onChange,
      }),
    onNotice: (notice) => control.notice(notice) && !watch.isDaemonGone,
    onChanged(urgent) {
      control.changed(urgent);
      if (urgent) watch.changed();
    },
    onEmpty() {
      pause[Symbol.dispose]();
      pause = clock.setTimer(daemons === 0 ? 0 : NEXT_SHARE_WITHIN_MS, endIfEmpty);
    },
  });
  const watch: AutonomousMode = new AutonomousMode({
    clock,
    logger,
    service,
    prove,
    isPresent,
    ping: () => control.ping(),
  });

  const inherited = Array.from({ length: inheritedCount }, (_, index) => FIRST_INHERITED + index);
  await service.restore(memory, await takeOver(inherited, logger));
  endPreviousSocketHolder();
  const removeSocket = await listenForControl(control.server, home);
  if (inheritedCount > 0) {
    logger.warn("the relay died and was restarted", { shares: [...service.served.keys()] });
    endIfEmpty();
  }
  await ending.promise;

  pause[Symbol.dispose]();
  watch[Symbol.dispose]();
  await removeSocket();
  control.end();
  clock.setTimer(GOODBYE_WITHIN_MS, () => process.exit(0));
  await service[Symbol.asyncDispose]();
  lock.release();
}

/** Ends the socket holder that started this process. A new socket holder, which this process started, already holds the ports. */
function endPreviousSocketHolder(): void {
  const former = Number(process.env["MOUNTAINEER_KEEPER"]);
  delete process.env["MOUNTAINEER_KEEPER"];
  if (Number.isSafeInteger(former) && former > 1 && former === process.ppid) process.kill(former, "SIGKILL");
}

/** Open files depend on this process, so an unexpected error in one connection must not end the others. */
function surviveMistakes(logger: Logger): void {
  const log = (error: unknown): void => {
    const stack = error instanceof Error ? (error.stack ?? "") : "";
    logger.error("an internal error in the relay", { error: errorText(error), stack: stack.slice(0, 2_000) });
  };
  process.on("uncaughtException", log);
  process.on("unhandledRejection", log);
  // Signals of a terminal are meant for the daemon. SIGTERM ends this process, and the socket holder starts it again.
  process.on("SIGINT", () => {});
  process.on("SIGHUP", () => {});
}

main().then(
  () => process.exit(0),
  (error: unknown) => {
    process.stderr.write(`mountaineer carrier: ${errorText(error)}\n`);
    process.exit(1);
  },
);
