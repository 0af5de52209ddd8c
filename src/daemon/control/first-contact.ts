// First contact with a server that is not configured yet: whether it answers, which shares it has, and
// whether another address leads to the same server.
import type { FirstContact, ServerLogin } from "../../api/setup/first-contact.ts";
import { findHomeContext } from "../../config/home-context.ts";
import type { ConfigSnapshot } from "../../config/snapshot.ts";
import { nameKey } from "../../config/values/names.ts";
import { readLinks } from "../../network/discover/links.ts";
import { readInterfaces } from "../../network/interfaces.ts";
import { hereFrom, networkIdsOf } from "../../network/location/network-location.ts";
import { sendMagicPacket } from "../../network/location/wake-packet.ts";
import { createHostProber } from "../../network/probe/host-prober.ts";
import type { ProbeResult } from "../../network/probe/probe-result.ts";
import { noopLogger } from "../../runtime/log/log.ts";
import { systemClock } from "../../runtime/time/clock.ts";
import { oneMissingText, resolveReference } from "../../secrets/reference.ts";
import { proofEndpoint } from "../../shares/engine/server-identities.ts";
import { PACKETS_AT_MS, WAKES_WITHIN_MS } from "../../shares/policy/wake.ts";
import { startProber } from "../../shares/prober/prober-process.ts";
import { createServerProofs } from "../../shares/server-proof/server-proofs.ts";
import { deniesShare, listShareNames } from "../../shares/server-proof/share-names.ts";
import { type RouteSpec, routesOf, type ShareSpec } from "../../shares/share-spec.ts";
import { approvedHome } from "../compose/approved-home.ts";

const PROBE_MS = 3_000;
const AGAIN_MS = 1_000;
const tools = { clock: systemClock, logger: noopLogger };

export async function openFirstContact(home: string, signal: AbortSignal): Promise<FirstContact> {
  // Read before any probe, because the system forgets the MAC address of a host that does not answer a probe.
  const met = await readLinks(signal).neighbours();
  const macOf = (host: string): string | null => met.find(({ address }) => address === host)?.mac ?? null;
  const prober = startProber(tools);
  const hostProber = createHostProber({ ...tools, resolve: (host) => prober.resolve(host, PROBE_MS) });
  const proof = createServerProofs({ ...tools, stateFolder: home, signsLogins: true });
  const probe = ({ host, port }: Pick<ServerLogin, "host" | "port">): Promise<ProbeResult> =>
    hostProber.probe(
      { host, port, interfaceName: null },
      { notBeforeMs: systemClock.monotonicMs(), timeoutMs: PROBE_MS },
    );
  const configuredSpec = async (
    snapshot: ConfigSnapshot,
    name: string,
    signal: AbortSignal,
  ): Promise<ShareSpec | { readonly kind: "failed"; readonly text: string }> => {
    const homeContext = findHomeContext({ ...process.env, MOUNTAINEER_HOME: home });
    // The password is sent only if the share's entry is approved.
    const { snapshot: approved, values } = await approvedHome({ homeContext, snapshot }, signal);
    const share = approved.config.shares.find((one) => one.name === name);
    if (share === undefined) return { kind: "failed", text: `${name} waits for approval` };
    const password = share.password === null ? null : resolveReference(share.password, values);
    if (password?.ok === false) return { kind: "failed", text: oneMissingText(password.missing) };
    const routes = routesOf(share).map((route) => share.routes[route]);
    const probes = await Promise.all(routes.map(({ host, port }) => probe({ host: host ?? "", port })));
    const up = routes[probes.findIndex(({ verdict }) => verdict === "answers")];
    if (up?.host == null) return { kind: "failed", text: probes.map(({ text }) => text).join(", ") };
    const { username, shareName } = share;
    const login = { host: up.host, port: up.port, username, password: password?.value ?? null };
    return specOf({ ...login, name, shareName }, null);
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
      const spec = await configuredSpec(snapshot, name, signal);
      return "kind" in spec ? spec : listShareNames(spec, home, signal);
    },
    async sharesInstead(snapshot, name, signal) {
      const spec = await configuredSpec(snapshot, name, signal);
      if ("kind" in spec || !(await deniesShare(spec, home, signal))) return null;
      const listed = await listShareNames(spec, home, signal);
      const names = listed.kind === "listed" ? listed.names : [];
      // The mount also tries a name's other Unicode form.
      return names.some((one) => nameKey(one) === nameKey(spec.shareName)) ? null : names;
    },
    shareNames: (login, signal) =>
      listShareNames(specOf({ ...login, name: "", shareName: "" }, null), home, signal),
    async pair(share, other, signal) {
      const [first, second] = await Promise.all([probe(share), probe(other)]);
      signal.throwIfAborted();
      const endpoints = { tb: proofEndpoint(first, share), fallback: proofEndpoint(second, other) };
      if (first.verdict !== "answers" || endpoints.tb === null) return { kind: "unproved", text: first.text };
      if (second.verdict !== "answers" || endpoints.fallback === null)
        return { kind: "unproved", text: second.text };
      // The proof first compares what both servers tell about themselves without a login.
      const { tb, fallback } = endpoints;
      const spec = specOf(share, other);
      const verdict = await proof.compare(spec, { tb, fallback }, null, () => true, signal);
      return { kind: verdict.kind, text: verdict.kind === "same" ? "" : verdict.text };
    },
    [Symbol.asyncDispose]: () => prober[Symbol.asyncDispose](),
  };
}

function specOf(
  { host, port, username, password, name, shareName }: Parameters<FirstContact["pair"]>[0],
  other: Pick<ServerLogin, "host" | "port"> | null,
): ShareSpec {
  const route = (to: Pick<ServerLogin, "host" | "port"> | null): RouteSpec => ({
    host: to?.host ?? null,
    port: to?.port ?? 445,
    interfaceName: null,
    folder: null,
  });
  return {
    ...{ name, shareName, username, password, missingVariable: null, driver: "rclone" },
    routes: { tb: route({ host, port }), fallback: route(other) },
    mountPath: "",
    stablePath: "",
  };
}
