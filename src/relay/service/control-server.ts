// The relay's side of the control socket: performs the daemons' requests, and pushes changes to them.
import { createServer, type Socket } from "node:net";
import { errorText, MountaineerError } from "../../runtime/errors.ts";
import type { Logger } from "../../runtime/log/log.ts";
import { isObject } from "../../runtime/text/json-object.ts";
import { createLineSplitter } from "../../runtime/text/line-splitter.ts";
import type { Clock, Timer } from "../../runtime/time/clock.ts";
import {
  formatLine,
  LINE_BYTES_AT_MOST,
  PROTOCOL_VERSION,
  parseEndpoint,
  parseEndpoints,
  parseKind,
  parseLine,
  parseMount,
  parseName,
  parseNumber,
  parsePatience,
  parseRoute,
  parseWantedPort,
  speaksWith,
} from "../control/control-messages.ts";
import type { MoveRequest, OpenRequest, RelayNotice } from "../relay.ts";
import type { RelayService } from "./relay-service.ts";

const DAEMONS_AT_MOST = 16;
const HELLO_WITHIN_MS = 5_000;
/** Pause between pushes of mere counters; a daemon that needs them for a decision asks. */
const COUNTERS_EVERY_MS = 5_000;
/** A daemon that does not read is disconnected when more unsent bytes than this wait for it. */
const WAITING_BYTES_AT_MOST = 4 * LINE_BYTES_AT_MOST;
const MOVE_WITHIN_MS = 3_800;

interface ControlServerOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly service: () => ServedOperations;
  /** The first characters of the program's hash. */
  readonly program: string;
  readonly onDaemons: (count: number) => void;
  readonly onHeard: () => void;
}

type ServedOperations = Pick<
  RelayService,
  "states" | "find" | "open" | "bind" | "configure" | "move" | "close" | "takeJournal"
>;

type Members = Readonly<Record<string, unknown>>;

export function createControlServer(options: ControlServerOptions) {
  const { clock, logger } = options;
  /** Connected daemons. */
  const daemons = new Set<Socket>();
  const all = new Set<Socket>();
  let countersTimer: Timer | null = null;
  let pushed = "";
  let isPushDue = false;

  const pushState = (): void => {
    const shares = options.service().states();
    const text = JSON.stringify(shares);
    if (text === pushed) return;
    pushed = text;
    const message = { push: "shares", nowMs: clock.monotonicMs(), shares };
    for (const socket of daemons) send(socket, message);
  };
  /** Pushes once for all changes of this turn of the event loop. */
  const pushSoon = (): void => {
    if (isPushDue || daemons.size === 0) return;
    isPushDue = true;
    queueMicrotask(() => {
      isPushDue = false;
      pushState();
    });
  };

  const onLine = (socket: Socket, line: string): void => {
    const message = parseLine(line);
    if (message === null) {
      socket.destroy();
      return;
    }
    const { hello, id } = message;
    if (daemons.has(socket)) options.onHeard();
    if (isObject(hello)) {
      if (!speaksWith(hello["protocol"])) {
        send(socket, { refused: `protocol ${PROTOCOL_VERSION} is spoken here` });
        socket.end();
        return;
      }
      daemons.add(socket);
      options.onDaemons(daemons.size);
      send(socket, { push: "shares", ...stateOf(options) });
    } else if (typeof id === "number" && daemons.has(socket)) {
      void answerTo(options, message).then((answer) => send(socket, { id, ...answer }));
    }
  };
  const server = createServer((socket) => {
    if (all.size >= DAEMONS_AT_MOST) {
      socket.destroy();
      return;
    }
    all.add(socket);
    const deadline = clock.setTimer(HELLO_WITHIN_MS, () => {
      if (!daemons.has(socket)) socket.destroy();
    });
    const splitter = createLineSplitter(LINE_BYTES_AT_MOST);
    socket.on("data", (chunk) => {
      for (const line of splitter.take(chunk)) if (line !== "") onLine(socket, line);
      if (splitter.overlong) socket.destroy();
    });
    socket.on("error", () => {});
    socket.on("close", () => {
      deadline[Symbol.dispose]();
      all.delete(socket);
      if (daemons.delete(socket)) options.onDaemons(daemons.size);
    });
    send(socket, { hello: { protocol: PROTOCOL_VERSION, program: options.program, pid: process.pid } });
  });
  server.on("error", (error) => logger.warn("the control socket fails", { error: errorText(error) }));

  return {
    server,
    /** Returns whether a daemon is connected. */
    notice(notice: RelayNotice): boolean {
      // The state is sent first, so that the daemon has it when the notice comes.
      pushState();
      for (const socket of daemons) send(socket, { push: "notice", notice });
      return daemons.size > 0;
    },
    /** Pings the daemons. Returns false if none is connected. */
    ping(): boolean {
      for (const socket of daemons) send(socket, { push: "ping" });
      return daemons.size > 0;
    },
    changed(urgent: boolean): void {
      if (urgent) pushSoon();
      else if (countersTimer === null && daemons.size > 0) {
        countersTimer = clock.setTimer(COUNTERS_EVERY_MS, () => {
          countersTimer = null;
          pushState();
        });
      }
    },
    /** Ends every connection once its answers are sent, and accepts no new ones. */
    end(): void {
      countersTimer?.[Symbol.dispose]();
      server.close();
      for (const socket of all) socket.destroySoon();
    },
  };
}

function send(socket: Socket, message: Members): void {
  if (socket.destroyed) return;
  socket.write(formatLine(message));
  if (socket.writableLength > WAITING_BYTES_AT_MOST) socket.destroy();
}

function stateOf({ clock, service }: ControlServerOptions): Members {
  return { nowMs: clock.monotonicMs(), shares: service().states() };
}

type Operation = (options: ControlServerOptions, members: Members) => unknown;

const OPERATIONS: Readonly<Record<string, Operation>> = {
  refresh: stateOf,
  async open({ clock, service }, members) {
    const share = await service().open(readOpen(members));
    return { nowMs: clock.monotonicMs(), share };
  },
  bind: ({ service }, members) => service().bind(shareIn(members), need(parseMount(members["mount"]))),
  configure: ({ service }, members) =>
    service().configure(shareIn(members), {
      endpoints: parseEndpoints(members["endpoints"]),
      patienceMs: need(parsePatience(members["patienceMs"])),
      epoch: parseNumber(members["epoch"]),
      away: members["away"] === true,
    }),
  move: ({ clock, service }, members) =>
    service().move(readMove(members), clock.monotonicMs() + MOVE_WITHIN_MS),
  hold: ({ service }, members) => service().find(shareIn(members), parseNumber(members["epoch"])).pause(),
  confirm: ({ service }, members) => service().find(shareIn(members)).confirm(parseNumber(members["outage"])),
  reopen: ({ service }, members) => service().find(shareIn(members)).reopen(),
  used_up: ({ service }, members) => service().find(shareIn(members)).usedUp(),
  close: ({ service }, members) => service().close(shareIn(members)),
  takeJournal: ({ service }) => service().takeJournal(),
};

async function answerTo(options: ControlServerOptions, members: Members): Promise<Members> {
  try {
    const name = members["do"];
    const operation =
      typeof name === "string" && Object.hasOwn(OPERATIONS, name) ? OPERATIONS[name] : undefined;
    if (operation === undefined)
      throw new MountaineerError("protocol", `the relay has no operation ${JSON.stringify(name)}`);
    return { ok: true, result: (await operation(options, members)) ?? null };
  } catch (error) {
    const code = error instanceof MountaineerError ? error.code : "internal";
    if (code === "internal")
      options.logger.error("a request to the relay failed", { error: errorText(error) });
    return { ok: false, code, message: errorText(error) };
  }
}

function shareIn(members: Members): string {
  return need(parseName(members["share"]));
}

function need<T>(value: T | null): T {
  if (value === null)
    throw new MountaineerError("protocol", "the request lacks a member, or has a wrong one");
  return value;
}

function readOpen(members: Members): OpenRequest {
  return {
    share: shareIn(members),
    kind: need(parseKind(members["kind"])),
    route: need(parseRoute(members["route"])),
    endpoints: parseEndpoints(members["endpoints"]),
    patienceMs: need(parsePatience(members["patienceMs"])),
    wantedPort: parseWantedPort(members["wantedPort"]),
    server: parseName(members["server"]),
    unproved: members["unproved"] === true,
    login: parseName(members["login"]),
    wantsUser: members["wantsUser"] === true,
  };
}

function readMove(members: Members): MoveRequest {
  return {
    share: shareIn(members),
    to: need(parseRoute(members["to"])),
    endpoint: need(parseEndpoint(members["endpoint"])),
    planned: members["planned"] === true,
    epoch: parseNumber(members["epoch"]),
    witness: parseNumber(members["witness"]),
  };
}
