// Moves a mount to another route while one of its files is open, to prove that this driver's mounts can be
// relayed, that is, survive a change of the route. Uses a configured share.
import { randomUUID } from "node:crypto";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import type { RelayControl, RelayedShare, RouteEndpoint } from "../relay/relay.ts";
import { createDisposalStack } from "../runtime/disposal.ts";
import { errorText } from "../runtime/errors.ts";
import { type CommandResult, runCommand } from "../runtime/process/child-process.ts";
import { programBeside } from "../runtime/process/program-beside.ts";
import type { Clock } from "../runtime/time/clock.ts";
import type { FoundMount, MountDriver } from "../shares/drivers/mount-driver.ts";
import type { RouteName, ShareSpec } from "../shares/share-spec.ts";
import { RELAY_BLOCK_BYTES } from "./relay-content.ts";

interface RelayTest {
  readonly clock: Clock;
  readonly relay: RelayControl;
  readonly driver: MountDriver;
  /** The share to mount, with its password. The test mounts the share a second time, under another name. */
  readonly share: ShareSpec;
  /**
   * The endpoints of two routes to one server, or one endpoint twice. A move resets the connections in both
   * cases.
   */
  readonly endpoints: Readonly<Record<RouteName, RouteEndpoint>>;
  /** An empty local folder. */
  readonly folder: string;
  readonly signal: AbortSignal;
}

const MOUNT_MS = 20_000;
const UNMOUNT_MS = 10_000;
const FILE_MS = 30_000;
const SENT_POLL_MS = 50;
const PATIENCE_MS = 20_000;

type Kind = Exclude<MountDriver["name"], "local">;

export interface RelayTestOutcome {
  /** True if the open file could be read and written after the move. */
  readonly carried: boolean;
  readonly text: string;
}

/**
 * Moves the mount of an open file. Rejects if the test could not be made. Leaves no mount, port or file
 * behind.
 */
export async function moveUnderOpenFile(test: RelayTest): Promise<RelayTestOutcome> {
  const { relay, driver, share, endpoints, clock, folder, signal } = test;
  if (driver.name === "local") throw new Error("folders are not relayed");
  const kind: Kind = driver.name;
  const id = randomUUID();
  const name = `self-test-${id.slice(0, 8)}`;
  const lost: string[] = [];
  const stack = createDisposalStack((error) => lost.push(errorText(error)));
  const run = async (args: readonly string[]): Promise<void> =>
    checkDone(await runChild(args, { clock, deadlineMs: FILE_MS, signal }));
  try {
    const request = {
      share: name,
      kind,
      route: "tb",
      endpoints,
      patienceMs: PATIENCE_MS,
      wantedPort: null,
    } as const;
    const { port } = await relay.open(request, signal);
    stack.defer(() => relay.close(name, AbortSignal.timeout(UNMOUNT_MS)));

    const mountAs = async (part: string) => {
      const spec = loopbackSpec(share, `${name}-${part}`, port, join(folder, part));
      await mkdir(join(folder, part), { recursive: true });
      const limits = { deadlineMs: MOUNT_MS, signal };
      const mounted = await driver.mount(spec, "tb", limits, { port, patienceMs: PATIENCE_MS });
      if (!mounted.ok) throw new Error(`it cannot be mounted over a port of this machine: ${mounted.text}`);
      return mountedPart(test, spec, mounted.mount);
    };
    const file = (mount: FoundMount): string => join(mount.path, `.mountaineer-self-test-${id}`);

    // Another mount writes the file, so that the mount that is moved later has no part of the file in a
    // cache.
    const first = await mountAs("write");
    stack.defer(() => first.end());
    stack.defer(() => (first.isOver ? undefined : run(["remove", file(first.mount), id])));
    await run(["write", file(first.mount), id]);
    await first.sent();
    await first.end();

    const second = await mountAs("read");
    stack.defer(() => second.end());
    stack.defer(() => run(["remove", file(second.mount)]));
    await relay.bind(name, { id: second.mount.id, path: second.mount.path, process: null }, signal);

    const holder = openInProcess(clock, signal, [file(second.mount), id]);
    await holder.opened;
    const before = await relayedShare(relay, name, signal);
    const move = { share: name, to: "fallback", endpoint: endpoints.fallback, planned: false } as const;
    const moved = await relay.move(move, signal);
    if (!moved.ok) throw new Error(`the move failed: ${moved.text}`);
    try {
      await holder.goOn();
    } catch (error) {
      signal.throwIfAborted();
      return { carried: false, text: `after the move ${errorText(error)}` };
    }
    const after = await relayedShare(relay, name, signal);
    const cameDown = after.bytesDown - before.bytesDown;
    if (after.connectionsInAll === before.connectionsInAll || cameDown < RELAY_BLOCK_BYTES)
      throw new Error(
        "the data read after the move did not come over a new connection: the test proves nothing",
      );
    await second.sent();
    await stack[Symbol.asyncDispose]();
    const untidy = lost.length === 0 ? "" : `; left behind: ${lost.join("; ")}`;
    return {
      carried: true,
      text: `share ${share.name} was moved under an open file, which was read and written on${untidy}`,
    };
  } finally {
    await stack[Symbol.asyncDispose]();
  }
}

function mountedPart({ driver, clock, signal }: RelayTest, spec: ShareSpec, mount: FoundMount) {
  let isOver = false;
  return {
    mount,
    get isOver() {
      return isOver;
    },
    /** Resolves when the server has everything that was written. */
    async sent(): Promise<void> {
      const untilMs = clock.monotonicMs() + FILE_MS;
      while ((await driver.unsent(spec)).length > 0) {
        if (clock.monotonicMs() >= untilMs) throw new Error("the written data does not reach the server");
        await clock.sleep(SENT_POLL_MS);
        signal.throwIfAborted();
      }
    },
    /** Unmounts; a second call does nothing. */
    async end(): Promise<void> {
      if (isOver) return;
      const limits = { deadlineMs: UNMOUNT_MS, signal: new AbortController().signal };
      isOver = true;
      const outcome = await driver.unmount(spec, mount, "force", limits);
      if (!outcome.ok) throw new Error(`${mount.path} cannot be unmounted: ${outcome.text}`);
    },
  };
}

function loopbackSpec(share: ShareSpec, name: string, port: number, folder: string): ShareSpec {
  const route = { host: "127.0.0.1", port, interfaceName: null, folder: null };
  const [mountPath, stablePath] = [join(folder, "mount"), join(folder, "link")];
  return { ...share, name, routes: { tb: route, fallback: route }, mountPath, stablePath };
}

async function relayedShare(relay: RelayControl, name: string, signal: AbortSignal): Promise<RelayedShare> {
  const share = (await relay.refresh(signal)).get(name);
  if (share === undefined) throw new Error("the relay no longer has the share");
  return share;
}

function runChild(
  args: readonly string[],
  options: Parameters<typeof runCommand>[2],
): Promise<CommandResult> {
  const program = fileURLToPath(programBeside(import.meta.url, "doctor-relay-child"));
  return runCommand(process.execPath, [program, ...args], options);
}

/**
 * Starts a process that holds the file open. `opened` resolves when the file is open; `goOn` makes the process read and
 * write the file, and then end.
 */
function openInProcess(clock: Clock, signal: AbortSignal, args: readonly string[]) {
  const input = new Readable({ read() {} });
  const { promise: isOpen, resolve } = Promise.withResolvers<void>();
  const limits = { clock, deadlineMs: 2 * FILE_MS, signal };
  const result = runChild(["hold", ...args], { ...limits, stdin: input, onStdout: () => resolve() });
  // Rejections are reported by `opened` and `goOn`; this handler keeps them from being unhandled before that.
  result.catch(() => {});
  return {
    opened: Promise.race([isOpen, result.then(checkExit)]),
    async goOn(): Promise<void> {
      input.push("go on\n");
      input.push(null);
      checkExit(await result);
    },
  };
}

function checkDone(result: CommandResult): void {
  checkExit(result);
  if (result.stdout !== "done\n") throw new Error("the process with the file ended early");
}

function checkExit({ exitCode, timedOut, stderr }: CommandResult): void {
  if (timedOut) throw new Error("the file did not answer in time");
  const reason = /^\w*Error: (.*)$/m.exec(stderr)?.[1] ?? stderr.trim().split("\n").at(-1) ?? "";
  if (exitCode !== 0) throw new Error(`the file could not be used: ${reason}`);
}
