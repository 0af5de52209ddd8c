// Makes the DNS-SD queries for servers that advertise SMB (`_smb._tcp`), and reads what the answers claim. Pure.
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
/** Maximum number of records that are kept for a link; no home or office has as many. */
const RETAINED_AT_MOST = 512;
/**
 * Maximum number of records that are kept for one name; without a limit, one sender's records could be
 * combined into very many claims.
 */
const OF_ONE_NAME = { PTR: 64, SRV: 4, A: 8 } as const;
const CLAIMS_AT_MOST = 64;

interface Answer {
  readonly record: DnsRecord;
  /** The last sender of the record. */
  readonly sender: string;
}

type Find = (type: DnsRecord["type"], name: DnsName) => readonly Answer[];

/** Create one for each link, because names of one link mean nothing on another. */
export function createDnsSd(): LinkProtocol {
  /** Records by type and name, then by content; names are compared without case. */
  const answers = new Map<string, Map<string, Answer>>();
  const queried = new Set<string>();
  let count = 0;
  /** Keeps a record. Returns true if the record, or its sender, is new. */
  const keep = (record: DnsRecord, sender: string): boolean => {
    const { type, name } = record;
    if (type === "PTR" && nameKey(name) !== nameKey(SERVICE)) return false;
    const key = questionKey({ type, name });
    const ofName = answers.get(key) ?? new Map<string, Answer>();
    const known = ofName.get(contentOf(record));
    if (known?.sender === sender) return false;
    if (known === undefined) {
      if (count >= RETAINED_AT_MOST || ofName.size >= OF_ONE_NAME[type]) return false;
      count++;
    }
    answers.set(key, ofName.set(contentOf(record), { record: known?.record ?? record, sender }));
    return true;
  };
  return {
    group: "224.0.0.251",
    port: 5353,
    question: () => dnsQuery([{ type: "PTR", name: SERVICE }]),
    take(message, sender) {
      const news = readDnsRecords(message).filter((record) => keep(record, sender));
      if (news.length === 0) return { claims: [], question: null };
      const { claims, missing } = claimsOf((type, name) => [
        ...(answers.get(questionKey({ type, name }))?.values() ?? []),
      ]);
      const next = missing.filter((question) => !queried.has(questionKey(question))).slice(0, 16);
      for (const question of next) queried.add(questionKey(question));
      return { claims, question: next.length === 0 ? null : dnsQuery(next) };
    },
  };
}

function questionKey({ type, name }: DnsQuestion): string {
  return `${type} ${nameKey(name)}`;
}

function contentOf(record: DnsRecord): string {
  if (record.type === "A") return record.address;
  return `${record.type === "SRV" ? record.port : ""} ${nameKey(record.target)}`;
}

/** Returns the claims that follow from all records together, and the questions for records that are still missing. */
function claimsOf(find: Find): {
  readonly claims: readonly Claim[];
  readonly missing: readonly DnsQuestion[];
} {
  const claims: Claim[] = [];
  const missing: DnsQuestion[] = [];
  for (const { record: pointer } of find("PTR", SERVICE)) {
    if (pointer.type !== "PTR") continue;
    const instance = pointer.target;
    const services = find("SRV", instance);
    if (services.length === 0) missing.push({ type: "SRV", name: instance });
    for (const { record: service, sender } of services) {
      if (service.type !== "SRV") continue;
      const { target, port } = service;
      const addresses = find("A", target);
      if (addresses.length === 0) missing.push({ type: "A", name: target });
      for (const { record } of addresses) {
        if (record.type !== "A") continue;
        const { address } = record;
        const names = { name: instance[0] ?? null, host: target.join(".") };
        claims.push({ address, port, ...names, byItself: sender === address });
        if (claims.length >= CLAIMS_AT_MOST) return { claims, missing };
      }
    }
  }
  return { claims, missing };
}
