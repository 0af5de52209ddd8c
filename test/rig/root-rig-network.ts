// The root rig's cables: two namespaces, `ws` and `nas`, joined by two links that each pass a switch in `nas`.
//
//   ws: tb0  10.99.1.1 ── port of switch tbsw ── nas: tb0  10.99.1.2
//   ws: eth1 10.99.2.1 ── port of switch ethsw ── nas: eth1 10.99.2.2
//
// The server has one more address on each link, 10.99.1.3 and 10.99.2.3, that the cuts of silence and reject leave alone.
// `ws` has no default route and no other link, so nothing in it can reach the world.
import { command } from "./root-rig-command.ts";

export type Route = "tb" | "fallback";

export const LINKS = {
  tb: {
    name: "tb0",
    near: "10.99.1.1",
    far: "10.99.1.2",
    spare: "10.99.1.3",
    switchName: "tbsw",
    port: "tbport",
    nasPort: "tbnas",
  },
  fallback: {
    name: "eth1",
    near: "10.99.2.1",
    far: "10.99.2.2",
    spare: "10.99.2.3",
    switchName: "ethsw",
    port: "ethport",
    nasPort: "ethnas",
  },
} as const;

/** Undoes one cut; again is nothing. */
export type Restore = () => Promise<void>;

export type Cuts = ReturnType<typeof cutsOf>;

export interface RigNetwork extends AsyncDisposable {
  readonly workstation: string;
  readonly server: string;
  readonly cut: Cuts;
  /** Sets the workstation's link down and up again `times` times, evenly over `seconds`; ends with it up. */
  flap(times: number, seconds: number, route?: Route): Promise<void>;
}

export async function startRigNetwork(prefix: string): Promise<RigNetwork> {
  const workstation = `${prefix}-ws`;
  const server = `${prefix}-nas`;
  const end = async (): Promise<void> => {
    for (const name of [workstation, server]) {
      await command("ip", ["netns", "delete", name]).catch((error: unknown) => {
        if (!String(error).includes("No such file")) throw error;
      });
    }
  };
  try {
    await command("ip", ["netns", "add", workstation]);
    await command("ip", ["netns", "add", server]);
    const nas = ["link set lo up"];
    const ws = ["link set lo up"];
    for (const { name, near, far, spare, switchName, port, nasPort } of Object.values(LINKS)) {
      nas.push(
        `link add ${switchName} type bridge`,
        `link add ${name} type veth peer name ${nasPort}`,
        `link add ${port} type veth peer name ${name} netns ${workstation}`,
        `link set ${nasPort} master ${switchName}`,
        `link set ${port} master ${switchName}`,
        `addr add ${far}/24 dev ${name}`,
        `addr add ${spare}/24 dev ${name}`,
        ...[switchName, nasPort, port, name].map((each) => `link set ${each} up`),
      );
      ws.push(`addr add ${near}/24 dev ${name}`, `link set ${name} up`);
    }
    await command("ip", ["-n", server, "-batch", "-"], `${nas.join("\n")}\n`);
    await command("ip", ["-n", workstation, "-batch", "-"], `${ws.join("\n")}\n`);
  } catch (error) {
    await end().catch(() => undefined);
    throw error;
  }
  return {
    workstation,
    server,
    cut: cutsOf(workstation, server),
    flap: (times, seconds, route = "tb") => flap(workstation, LINKS[route].name, times, seconds),
    [Symbol.asyncDispose]: end,
  };
}

function cutsOf(workstation: string, server: string) {
  const setLink = (namespace: string, link: string, state: "up" | "down"): Promise<string> =>
    command("ip", ["-n", namespace, "link", "set", link, state]);
  const linkDown = async (namespace: string, link: string): Promise<Restore> => {
    await setLink(namespace, link, "down");
    return async () => {
      await setLink(namespace, link, "up");
    };
  };
  let tables = 0;
  const filter = async (rule: string): Promise<Restore> => {
    const table = `cut${tables++}`;
    const nft = (...args: string[]): Promise<string> =>
      command("ip", ["netns", "exec", server, "nft", ...args]);
    await nft(
      `add table inet ${table}; ` +
        `add chain inet ${table} input { type filter hook input priority 0 ; }; add rule inet ${table} input ${rule}`,
    );
    let there = true;
    return async () => {
      if (there) await nft(`delete table inet ${table}`);
      there = false;
    };
  };
  return {
    /** The workstation's own interface is set down: unreachable at once. */
    ownLinkDown: (route: Route = "tb") => linkDown(workstation, LINKS[route].name),
    /** The cable is pulled: the workstation's interface stays up and loses its carrier. */
    carrierLost: (route: Route = "tb") => linkDown(server, LINKS[route].port),
    /** The server's link goes down behind the switch: the workstation keeps its carrier and hears nothing. */
    farLinkDown: (route: Route = "tb") => linkDown(server, LINKS[route].name),
    /** The server drops every packet to that address. */
    silence: (route: Route = "tb") => filter(`ip daddr ${LINKS[route].far} drop`),
    /** The server answers each SMB packet to that address with a reset. */
    reject: (route: Route = "tb") =>
      filter(`ip daddr ${LINKS[route].far} tcp dport 445 reject with tcp reset`),
    /** The workstation sends at most 25 MB/s over that link: a large write takes seconds on any machine. */
    narrow: (route: Route = "tb") => narrow(workstation, LINKS[route].name),
  };
}

async function narrow(namespace: string, link: string): Promise<Restore> {
  const qdisc = (verb: string, ...shape: string[]): Promise<string> =>
    command("tc", ["-n", namespace, "qdisc", verb, "dev", link, "root", ...shape]);
  await qdisc("add", "tbf", "rate", "200mbit", "burst", "256k", "latency", "50ms");
  return async () => {
    await qdisc("del");
  };
}

async function flap(namespace: string, link: string, times: number, seconds: number): Promise<void> {
  const startedAt = performance.now();
  for (let half = 0; half < times * 2; half++) {
    const dueInMs = startedAt + (half * seconds * 1000) / (times * 2) - performance.now();
    if (dueInMs > 0) await new Promise((resolve) => setTimeout(resolve, dueInMs));
    await command("ip", ["-n", namespace, "link", "set", link, half % 2 === 0 ? "down" : "up"]);
  }
}
