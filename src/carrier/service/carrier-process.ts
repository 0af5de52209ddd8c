// The carrier's process: `carrier.mjs HOME [SOCKETS]`, with that many listening sockets inherited from descriptor 3 on.
import { appendFile, chmod, rename, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { errorText } from "../../runtime/errors.ts";
import { ensurePrivateFolder } from "../../runtime/files/durable-file.ts";
import { waitExclusive } from "../../runtime/files/sqlite-file-lock.ts";
import type { LogFields, Logger, LogLevel } from "../../runtime/log/log.ts";
import { isRunning } from "../../runtime/process/process-identity.ts";
import { type Clock, isoTime, systemClock } from "../../runtime/time/clock.ts";
import { carrierFolder, listenForControl } from "../control/control-socket.ts";
import { createKeeper, FIRST_INHERITED } from "../control/keeper.ts";
import { createServerProof } from "../smb/server-proof.ts";
import { isPresent } from "../system/mount-presence.ts";
import { createSocketOwners } from "../system/socket-owner.ts";
import { AloneWatch } from "./alone-watch.ts";
import { CarrierService, takeOver } from "./carrier-service.ts";
import { createCarrierStateFile } from "./carrier-state.ts";
import { createControlServer } from "./control-server.ts";

/** A carrier without any share ends after this long. */
const FIRST_SHARE_WITHIN_MS = 15_000;
const GOODBYE_WITHIN_MS = 3_000;
const LOCKED_FOR_A_LOOK_MS = 2_000;

async function main(): Promise<void> {
  const [home, socketsText] = process.argv.slice(2);
  if (home === undefined || !home.startsWith("/")) throw new Error("usage: carrier.mjs HOME [SOCKETS]");
  const clock = systemClock;
  const folder = carrierFolder(home);
  await ensurePrivateFolder(folder);
  await chmod(folder, 0o700);
  const logger = createCarrierLog(join(folder, "carrier.log"), clock);
  surviveMistakes(logger);
  const inheritedCount = socketsText === undefined ? 0 : Number(socketsText);

  // The lock may be held for a moment by a carrier that a daemon started at the wrong time, and that looks for a living
  // keeper. The process that inherited the ports waits for it: a keeper gives up the ports if its carrier leaves
  // without them.
  const withinMs = inheritedCount > 0 ? LOCKED_FOR_A_LOOK_MS : 0;
  const lock = await waitExclusive(join(folder, "lock.db"), { clock, withinMs });
  // Another carrier runs; this one's keeper, if it has one, ends with it.
  if (lock === null) return;
  const stateFile = createCarrierStateFile(folder, clock, logger);
  const memory = await stateFile.read();
  if (inheritedCount === 0 && memory.keeper !== null && (await isRunning(memory.keeper))) {
    // The keeper of a carrier that has just died holds its ports, and is about to start the next one.
    lock.release();
    return;
  }
  const program = fileURLToPath(import.meta.url);
  const prove = createServerProof(clock);
  const ending = Promise.withResolvers<void>();
  const control = createControlServer({
    clock,
    logger,
    service: () => service,
    program: basename(dirname(program)).replace(/^program-/u, ""),
    onDaemons: (count) => watch.daemons(count),
    onHeard: () => watch.heard(),
  });
  const service: CarrierService = new CarrierService({
    clock,
    logger,
    owners: createSocketOwners(clock),
    prove,
    uid: process.getuid?.() ?? 0,
    stateFile,
    keeper: (onChange) =>
      createKeeper({
        script: join(dirname(program), "keep.sh"),
        program: join(dirname(program), "run.sh"),
        home,
        clock,
        logger,
        onChange,
      }),
    onNotice: (notice) => control.notice(notice) && !watch.isAlone,
    onChanged(urgent) {
      control.changed(urgent);
      if (urgent) watch.changed();
    },
    onEmpty: () => ending.resolve(),
  });
  const watch: AloneWatch = new AloneWatch({
    clock,
    logger,
    service,
    prove,
    isPresent,
    ping: () => control.ping(),
  });

  const inherited = Array.from({ length: inheritedCount }, (_, index) => FIRST_INHERITED + index);
  await service.restore(memory, await takeOver(inherited, logger));
  endFormerKeeper();
  const removeSocket = await listenForControl(control.server, home);
  if (inheritedCount > 0) {
    logger.warn("the carrier died and goes on", { shares: [...service.served.keys()] });
    service.endIfEmpty();
  }
  const firstShare = clock.setTimer(FIRST_SHARE_WITHIN_MS, () => service.endIfEmpty());
  await ending.promise;

  firstShare[Symbol.dispose]();
  watch[Symbol.dispose]();
  await removeSocket();
  // Every request that waits is answered before the process is gone.
  control.end();
  clock.setTimer(GOODBYE_WITHIN_MS, () => process.exit(0));
  await service[Symbol.asyncDispose]();
  lock.release();
}

/** The keeper that started this process has held the ports until now. */
function endFormerKeeper(): void {
  const former = Number(process.env["MOUNTAINEER_KEEPER"]);
  delete process.env["MOUNTAINEER_KEEPER"];
  if (Number.isSafeInteger(former) && former > 1 && former === process.ppid) process.kill(former, "SIGKILL");
}

/** Open files depend on this process: a mistake in one connection must not end the others. */
function surviveMistakes(logger: Logger): void {
  const log = (error: unknown): void => {
    const stack = error instanceof Error ? (error.stack ?? "") : "";
    logger.error("a mistake in the carrier", { error: errorText(error), stack: stack.slice(0, 2_000) });
  };
  process.on("uncaughtException", log);
  process.on("unhandledRejection", log);
  // A terminal's signals are meant for the daemon; a plain kill ends this process, and the keeper starts it again.
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

const FILE_BYTES_AT_MOST = 1024 * 1024;
const WAITING_LINES_AT_MOST = 1_000;

/** Never throws and never waits; what a full disk refuses is dropped. Beyond 1 MiB the file makes way to `PATH.1`. */
function createCarrierLog(path: string, clock: Clock): Logger {
  let waiting: string[] = [];
  let writing = false;
  const writeAll = async (): Promise<void> => {
    while (waiting.length > 0) {
      const text = waiting.join("");
      waiting = [];
      try {
        const size = await stat(path).then(
          (found) => found.size,
          () => 0,
        );
        if (size + text.length > FILE_BYTES_AT_MOST) await rename(path, `${path}.1`).catch(() => {});
        await appendFile(path, text, { mode: 0o600 });
      } catch {
        // There is no place left to report it.
      }
    }
    writing = false;
  };
  const write = (level: LogLevel, message: string, fields: LogFields = {}): void => {
    if (waiting.length >= WAITING_LINES_AT_MOST) return;
    waiting.push(`${JSON.stringify({ time: isoTime(clock.wallMs()), level, message, ...fields })}\n`);
    if (writing) return;
    writing = true;
    void writeAll();
  };
  return {
    debug() {},
    info: (message, fields) => write("info", message, fields),
    warn: (message, fields) => write("warn", message, fields),
    error: (message, fields) => write("error", message, fields),
  };
}
