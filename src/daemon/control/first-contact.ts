// First contact with a server that is not configured yet: whether it answers, which shares it has, and
// whether another address leads to the same server.
import type { FirstContact, ServerLogin, ShareNames } from "../../api/setup/first-contact.ts";
import { findHomeContext } from "../../config/home-context.ts";
import type { ConfigSnapshot } from "../../config/snapshot.ts";
import { nameKey } from "../../config/values/names.ts";
import { createMountProgram } from "../../mount-program/mount-program.ts";
import { linkTo } from "../../network/discover/linked-prober.ts";
import { readLinks } from "../../network/discover/links.ts";
import { readInterfaces } from "../../network/interfaces.ts";
import { createNetworkLocation, hereFrom, networkIdsOf } from "../../network/location/network-location.ts";
import { sendMagicPacket } from "../../network/location/wake-packet.ts";
import { createHostProber } from "../../network/probe/host-prober.ts";
import type { ProbeResult } from "../../network/probe/probe-result.ts";
import { noopLogger } from "../../runtime/log/log.ts";
import { systemClock } from "../../runtime/time/clock.ts";
import { oneMissingText, resolveReference } from "../../secrets/reference.ts";
import { PACKETS_AT_MS, WAKES_WITHIN_MS } from "../../shares/policy/wake.ts";
import { startProber } from "../../shares/prober/prober-process.ts";
import type { Endpoint } from "../../shares/program/arguments.ts";
import { createProgramCommands } from "../../shares/program/commands.ts";
import { type SignIn, typedSignIn } from "../../shares/program/sign-in.ts";
import { routesOf } from "../../shares/share-spec.ts";
import { approvedHome } from "../compose/approved-home.ts";
import { contactShare, folderIn } from "../compose/share-contact.ts";

const PROBE_MS = 3_000;
const AGAIN_MS = 1_000;
const tools = { clock: systemClock, logger: noopLogger };

export async function openFirstContact(home: string, signal: AbortSignal): Promise<FirstContact> {
  // Read before any probe, because the system forgets the MAC address of a host that does not answer a probe.
  const met = await readLinks(signal).neighbours();
  const macOf = (host: string): string | null => met.find(({ address }) => address === host)?.mac ?? null;
  const prober = startProber(tools);
  const hostProber = createHostProber({ ...tools, resolve: (host) => prober.resolve(host, PROBE_MS) });
  const commands = createProgramCommands({
    clock: systemClock,
    home,
    folderOf: folderIn(home),
    program: createMountProgram(home).find,
  });
  const probe = ({ host, port }: Pick<ServerLogin, "host" | "port">): Promise<ProbeResult> =>
    hostProber.probe(
      { host, port, interfaceName: null },
      { notBeforeMs: systemClock.monotonicMs(), timeoutMs: PROBE_MS },
    );
  const namesBy = async (signIn: SignIn, signal: AbortSignal): Promise<ShareNames> => {
    const found = await commands.listShares(signIn, signal);
    if (found.ok) return { kind: "listed", names: [...found.names] };
    return { kind: isRefusal(found.code) ? "refused" : "failed", text: found.text };
  };
  /** The login of a configured share, with the host that answers. */
  const configuredLogin = async (
    snapshot: ConfigSnapshot,
    name: string,
    signal: AbortSignal,
  ): Promise<SignIn | { readonly kind: "failed"; readonly text: string }> => {
    const homeContext = findHomeContext({ ...process.env, MOUNTAINEER_HOME: home });
    // The password is sent only if the share's entry is approved.
    const { snapshot: approved, values } = await approvedHome({ homeContext, snapshot }, signal);
    const share = approved.config.shares.find((one) => one.name === name);
    if (share === undefined) return { kind: "failed", text: `${name} waits for approval` };
    const password = share.password === null ? null : resolveReference(share.password, values);
    if (password?.ok === false) return { kind: "failed", text: oneMissingText(password.missing) };
    const location = createNetworkLocation({ clock: systemClock, links: readLinks(signal) });
    const contact = await contactShare(share, { home, location, values });
    if (contact.offNetwork !== null) return { kind: "failed", text: contact.offNetwork };
    const routes = routesOf(share).map((route) => share.routes[route]);
    const probes = await Promise.all(routes.map(({ host, port }) => probe({ host: host ?? "", port })));
    const index = probes.findIndex(({ verdict }) => verdict === "answers");
    const [up, probed] = [routes[index], probes[index]];
    const text = probes.map((one) => one.text).join(", ");
    if (up?.host == null || probed === undefined) return { kind: "failed", text };
    const tb = endpointOf({ host: up.host, port: up.port }, probed);
    return contact.signIn({ tb }) ?? { kind: "failed", text };
  };
  return {
    async greet(server, signal) {
      const { verdict, text } = await probe(server);
      signal.throwIfAborted();
      return verdict === "answers" ? null : text;
    },
    async whyOther(first, other, signal) {
      const [mine, its] = await Promise.all([probe(first), probe(other)]);
      signal.throwIfAborted();
      if (its.verdict !== "answers") return its.text;
      if (mine.serverGuid === null || its.serverGuid === null) return null;
      return mine.serverGuid === its.serverGuid ? null : "another server, with another ServerGuid";
    },
    deviceTo: async (server, signal) => linkTo(await probe(server), readLinks(signal), systemClock, signal),
    canWake: (host) => macOf(host) !== null,
    async wake(server, signal) {
      const untilMs = systemClock.monotonicMs() + WAKES_WITHIN_MS;
      for (let sent = 0; ; sent += 1) {
        if (sent < PACKETS_AT_MS.length) sendMagicPacket(`${macOf(server.host)}@${server.host}`);
        const { verdict, text } = await probe(server);
        signal.throwIfAborted();
        if (verdict === "answers") return null;
        if (systemClock.monotonicMs() > untilMs) return text;
        await systemClock.sleep(AGAIN_MS, signal);
      }
    },
    async networksOf(hosts, signal) {
      const links = readLinks(signal);
      const [gateways, neighbours] = await Promise.all([links.gateways(), links.neighbours()]);
      return networkIdsOf(hereFrom(readInterfaces(systemClock.monotonicMs()), gateways, neighbours), hosts);
    },
    async configuredShareNames(snapshot, name, signal) {
      const login = await configuredLogin(snapshot, name, signal);
      return "kind" in login ? login : namesBy(login, signal);
    },
    async sharesInstead(snapshot, name, signal) {
      const login = await configuredLogin(snapshot, name, signal);
      if ("kind" in login || login.share === null) return null;
      const { shareName } = login.share;
      const root = await commands.listRoot(login, shareName, signal);
      if (root.ok || root.code !== "no_share") return null;
      const listed = await namesBy(login, signal);
      const names = listed.kind === "listed" ? listed.names : [];
      return names.some((one) => nameKey(one) === nameKey(shareName)) ? null : names;
    },
    shareNames: async (login, signal) =>
      namesBy(typedSignIn(login, { tb: endpointOf(login, await probe(login)) }), signal),
    async pair({ shareName, ...share }, other, signal) {
      const [first, second] = await Promise.all([probe(share), probe(other)]);
      signal.throwIfAborted();
      for (const { verdict, text } of [first, second])
        if (verdict !== "answers") return { kind: "unproved", text };
      const endpoints = { tb: endpointOf(share, first), fallback: endpointOf(other, second) };
      // The other one gets the login only if it says that it is the same server.
      if (first.serverGuid !== null && second.serverGuid !== null && first.serverGuid !== second.serverGuid)
        return { kind: "different", text: "it says that it is another server (another ServerGuid)" };
      const found = await commands.compareServers(
        { shareName, signIn: typedSignIn(share, endpoints) },
        signal,
      );
      if (!found.ok) return { kind: "unproved", text: found.text };
      const failure = Object.values(found.failures)[0]?.text;
      if (failure === undefined && found.verdict === "same") return { kind: "same", text: "" };
      const kind = found.verdict === "different" ? "different" : "unproved";
      return { kind, text: found.text ?? failure ?? "the share is empty, so nothing can be compared" };
    },
    [Symbol.asyncDispose]: () => prober[Symbol.asyncDispose](),
  };
}

function endpointOf(
  { host, port }: Pick<ServerLogin, "host" | "port">,
  { address, interfaceName }: ProbeResult,
): Endpoint {
  return { address: address ?? host, port, interfaceName };
}

function isRefusal(code: string | null): boolean {
  return code === "logon_failure" || code === "logon_held";
}
