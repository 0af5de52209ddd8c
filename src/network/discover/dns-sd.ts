// Servers that advertise SMB by DNS-SD (`_smb._tcp`): what is asked, and what the answers claim. Pure.
import {
  type DnsName,
  type DnsQuestion,
  type DnsRecord,
  dnsQuery,
  nameKey,
  readDnsRecords,
} from "./dns-message.ts";
import type { Claim, LinkProtocol } from "./link-protocol.ts";

const SERVICE: DnsName = ["_smb", "_tcp", "local"];
/** Of one link: more is no network of people. */
const KEPT_AT_MOST = 512;

/** One for each link: what is heard on one says nothing about names on another. */
export function createDnsSd(): LinkProtocol {
  const records = new Map<string, DnsRecord>();
  const asked = new Set<string>();
  return {
    group: "224.0.0.251",
    port: 5353,
    question: () => dnsQuery([{ type: "PTR", name: SERVICE }]),
    take(message) {
      for (const record of readDnsRecords(message)) {
        if (records.size >= KEPT_AT_MOST) break;
        records.set(JSON.stringify(record), record);
      }
      const { claims, missing } = claimsOf([...records.values()]);
      const next = missing.filter(({ type, name }) => !asked.has(`${type} ${nameKey(name)}`)).slice(0, 16);
      for (const { type, name } of next) asked.add(`${type} ${nameKey(name)}`);
      return { claims, ask: next.length === 0 ? null : dnsQuery(next) };
    },
  };
}

/** Instances with their hosts and addresses, and what is still to be asked for those without. */
function claimsOf(records: readonly DnsRecord[]): {
  readonly claims: readonly Claim[];
  readonly missing: readonly DnsQuestion[];
} {
  const claims: Claim[] = [];
  const missing: DnsQuestion[] = [];
  for (const pointer of records) {
    if (pointer.type !== "PTR" || nameKey(pointer.name) !== nameKey(SERVICE)) continue;
    const instance = pointer.target;
    const services = records.filter(
      (record) => record.type === "SRV" && nameKey(record.name) === nameKey(instance),
    );
    if (services.length === 0) missing.push({ type: "SRV", name: instance });
    for (const service of services) {
      if (service.type !== "SRV") continue;
      const { target, port } = service;
      const addresses = records.filter(
        (record) => record.type === "A" && nameKey(record.name) === nameKey(target),
      );
      if (addresses.length === 0) missing.push({ type: "A", name: target });
      for (const record of addresses) {
        if (record.type !== "A") continue;
        claims.push({ address: record.address, port, name: instance[0] ?? null, host: target.join(".") });
      }
    }
  }
  return { claims, missing };
}
