// One carried share in this process, between clients of the test and servers of the test.
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import type { TestContext } from "node:test";
import { LoginGate } from "../../../src/relay/connections/login-gate.ts";
import { ShareRelay } from "../../../src/relay/connections/share-relay.ts";
import type { ShareSettings } from "../../../src/relay/connections/share-settings.ts";
import type { RelayClientKind, RelayRoute } from "../../../src/relay/relay.ts";
import { listenerFor } from "../../../src/relay/service/relay-service.ts";
import { createNegotiateProof } from "../../../src/relay/smb/negotiate-proof.ts";
import type { SocketOwners } from "../../../src/relay/system/socket-owner.ts";
import { noopLogger } from "../../../src/runtime/log/log.ts";
import { type Clock, systemClock } from "../../../src/runtime/time/clock.ts";
import { eventually } from "../../support/eventually.ts";
import { type ManualClock, settle } from "../../support/manual-clock.ts";
import { passTimeUntilSettled } from "../../support/pass-time.ts";
import { type FakeNas, type FakeNasOptions, startFakeNas } from "../fake-nas.ts";
import { request } from "../smb-messages.ts";

export const OWN_UID = 1_000;

export interface ShareBench {
  readonly share: ShareRelay;
  readonly port: number;
  readonly notices: string[];
  /** How many notices say that the server must be proved again. */
  readonly unconfirmed: () => number;
  /** Who the clients are, by the look-up; null: nobody. */
  owner: number | null;
  readonly ownerQuestions: () => number;
  /** The carrier's ends of the clients' connections, as they came. */
  readonly accepted: readonly Socket[];
  /** `halfOpen`: does not end its side by itself when the carrier ends the other. */
  client(halfOpen?: boolean): Promise<BenchClient>;
  move(to: RelayRoute, nas: FakeNas, planned?: boolean): ReturnType<ShareRelay["move"]>;
}

export interface BenchClient {
  readonly socket: Socket;
  received: Buffer;
  ending: "open" | "end" | "reset";
  send(bytes: Buffer): void;
  /** Sends one request, and waits for bytes that come back. */
  ask(command: number, messageId: number): Promise<void>;
  /** As rclone does: the frame's length first, and the rest when that is on its way. */
  sendInTwo(frame: Buffer): Promise<void>;
}

export interface ShareBenchOptions {
  readonly nas: FakeNas;
  readonly other?: FakeNas;
  readonly clock?: Clock;
  readonly patienceMs?: number;
  readonly kind?: RelayClientKind;
  readonly owners?: SocketOwners;
  readonly uid?: number;
  readonly logons?: LoginGate;
  /** Of the clients, so that the system takes little from a server that nobody reads. */
  readonly reads?: boolean;
}

export async function startShare(t: TestContext, options: ShareBenchOptions): Promise<ShareBench> {
  const { nas, other, patienceMs = 60_000, kind = "rclone", clock = systemClock } = options;
  const server = listenerFor();
  const accepted: Socket[] = [];
  server.on("connection", (socket) => void accepted.push(socket));
  server.listen({ host: "127.0.0.1", port: 0, backlog: 1_024 });
  await once(server, "listening");
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  const settings: ShareSettings = {
    share: "CARRIED",
    kind,
    port,
    route: "tb",
    endpoints: { tb: nas.endpoint, ...(other === undefined ? {} : { fallback: other.endpoint }) },
    patienceMs,
    mount: null,
    guid: null,
    confirmed: true,
    epoch: 0,
  };
  const notices: string[] = [];
  const sockets: Socket[] = [];
  let questions = 0;
  const bench = { owner: OWN_UID as number | null };
  const owners: SocketOwners = options.owners ?? {
    ownerOf: () => {
      questions += 1;
      return Promise.resolve(bench.owner);
    },
  };
  const share = new ShareRelay(server, settings, {
    clock,
    logger: noopLogger,
    owners,
    prove: createNegotiateProof(systemClock),
    uid: options.uid ?? OWN_UID,
    logins: options.logons ?? new LoginGate(clock),
    events: {
      notice: (what) => notices.push(what) > 0,
      changed() {},
      settingsChanged() {},
    },
  });
  t.after(async () => {
    for (const socket of sockets) socket.destroy();
    const closed = share[Symbol.asyncDispose]();
    // A test that fails in the middle of a move leaves it waiting for its clock.
    await (isManual(clock) ? passTimeUntilSettled(clock, closed, 100) : closed);
    await nas[Symbol.asyncDispose]();
    await other?.[Symbol.asyncDispose]();
  });
  return Object.assign(bench, {
    share,
    port,
    notices,
    unconfirmed: () => notices.filter((what) => what === "unconfirmed").length,
    ownerQuestions: () => questions,
    accepted,
    async client(halfOpen = false) {
      const socket = connect({ host: "127.0.0.1", port, allowHalfOpen: halfOpen });
      sockets.push(socket);
      const client: BenchClient = {
        socket,
        received: Buffer.alloc(0),
        ending: "open",
        send: (bytes) => void socket.write(bytes),
        async ask(command, messageId) {
          const before = client.received.length;
          socket.write(request(command, messageId));
          await eventually(() => client.received.length > before);
        },
        async sendInTwo(frame) {
          socket.write(frame.subarray(0, 4));
          await settle();
          socket.write(frame.subarray(4));
        },
      };
      if (options.reads !== false) {
        socket.on("data", (chunk: Buffer) => {
          client.received = Buffer.concat([client.received, chunk]);
        });
      }
      socket.on("end", () => {
        if (client.ending === "open") client.ending = "end";
      });
      socket.on("error", () => {
        client.ending = "reset";
      });
      // A reset may come as soon as it is connected.
      await once(socket, "connect").catch(() => {});
      return client;
    },
    move: (to: RelayRoute, target: FakeNas, planned = false) =>
      share.move({ to, endpoint: target.endpoint, planned, untilMs: systemClock.monotonicMs() + 10_000 }),
  });
}

function isManual(clock: Clock): clock is ManualClock {
  return "advance" in clock;
}

type RouteOptions = Omit<ShareBenchOptions, "nas" | "other"> & Pick<FakeNasOptions, "answerBytes" | "from">;

/** A share with one route. */
export async function oneRoute(t: TestContext, options: RouteOptions = {}) {
  const nas = await startFakeNas(options);
  return { nas, bench: await startShare(t, { nas, ...options }) };
}

/** The same with a second route, to `other`. */
export async function twoRoutes(t: TestContext, options: RouteOptions = {}) {
  const [nas, other] = [await startFakeNas(options), await startFakeNas({ host: "127.0.0.2" })];
  return { nas, other, bench: await startShare(t, { nas, other, ...options }) };
}

/** Either, with a client that has connected. */
export async function withClient<Made extends { readonly bench: ShareBench }>(
  made: Promise<Made>,
): Promise<Made & { readonly client: BenchClient }> {
  const parts = await made;
  return { ...parts, client: await parts.bench.client() };
}

/** Waits until so many of the mount's connections have come to the server. */
export async function joined(nas: FakeNas, count = 1) {
  return eventually(() => (nas.joined().length >= count ? nas.joined() : null));
}

/** Waits until no more bytes pass that way, because the system's buffers are full. Resolves with how many did. */
export async function untilSteady({ share }: ShareBench, way: "bytesUp" | "bytesDown"): Promise<number> {
  let passed = -1;
  await eventually(async () => {
    const last = passed;
    passed = share.state()[way];
    await systemClock.sleep(100);
    return passed > 0 && passed === last && share.state()[way] === passed;
  });
  return passed;
}
