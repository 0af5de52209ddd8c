// DNS messages of DNS-SD over multicast: writes queries, and reads records from untrusted messages. Pure.

/** Labels, in the case in which they were sent. */
export type DnsName = readonly string[];

export type DnsRecord =
  | { readonly type: "PTR"; readonly name: DnsName; readonly target: DnsName }
  | { readonly type: "SRV"; readonly name: DnsName; readonly target: DnsName; readonly port: number }
  | { readonly type: "A"; readonly name: DnsName; readonly address: string };

const TYPES = { A: 1, PTR: 12, SRV: 33 } as const;
const CLASS_IN = 1;
const HEADER_BYTES = 12;
const RECORDS_AT_MOST = 256;
const NAME_BYTES_AT_MOST = 255;
const LABEL_BYTES_AT_MOST = 63;

export interface DnsQuestion {
  readonly type: keyof typeof TYPES;
  readonly name: DnsName;
}

/** A key for a name. Names that differ only in case have the same key, because DNS ignores case. */
export function nameKey(name: DnsName): string {
  return JSON.stringify(name.map((label) => label.toLowerCase()));
}

export function dnsQuery(questions: readonly DnsQuestion[]): Buffer {
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt16BE(questions.length, 4);
  const encoded = questions.map(({ type, name }) => {
    const labels = name.map((label) => Buffer.from(label).subarray(0, LABEL_BYTES_AT_MOST));
    const tail = Buffer.alloc(5);
    tail.writeUInt16BE(TYPES[type], 1);
    tail.writeUInt16BE(CLASS_IN, 3);
    return Buffer.concat([...labels.flatMap((label) => [Buffer.from([label.length]), label]), tail]);
  });
  return Buffer.concat([header, ...encoded]);
}

/** The known records of an answer, up to the first malformed one; none if the message is not an answer. */
export function readDnsRecords(message: Buffer): readonly DnsRecord[] {
  const records: DnsRecord[] = [];
  const isAnswer = message.length >= HEADER_BYTES && (message.readUInt8(2) & 0x80) !== 0;
  if (!isAnswer) return records;
  let at = HEADER_BYTES;
  for (let left = Math.min(message.readUInt16BE(4), RECORDS_AT_MOST); left > 0; left--) {
    const question = readName(message, at);
    if (question === null) return records;
    at = question.end + 4;
  }
  const announced = message.readUInt16BE(6) + message.readUInt16BE(8) + message.readUInt16BE(10);
  for (let left = Math.min(announced, RECORDS_AT_MOST); left > 0; left--) {
    const read = readRecord(message, at);
    if (read === null) return records;
    if (read.record !== null) records.push(read.record);
    at = read.end;
  }
  return records;
}

function readRecord(
  message: Buffer,
  start: number,
): { readonly record: DnsRecord | null; readonly end: number } | null {
  const owner = readName(message, start);
  if (owner === null || owner.end + 10 > message.length) return null;
  const { name, end: at } = owner;
  const data = at + 10;
  const length = message.readUInt16BE(at + 8);
  const end = data + length;
  if (end > message.length) return null;
  const type = message.readUInt16BE(at);
  if (type === TYPES.A && length === 4) {
    return { record: { type: "A", name, address: message.subarray(data, end).join(".") }, end };
  }
  if (type === TYPES.PTR) {
    const target = readName(message, data);
    return { record: target === null ? null : { type: "PTR", name, target: target.name }, end };
  }
  if (type === TYPES.SRV && length > 6) {
    const target = readName(message, data + 6);
    const port = message.readUInt16BE(data + 4);
    return { record: target === null ? null : { type: "SRV", name, target: target.name, port }, end };
  }
  return { record: null, end };
}

/**
 * Reads a name; null: malformed. Each compression pointer must lead backwards, so that none can lead in a
 * circle.
 */
function readName(message: Buffer, start: number): { readonly name: DnsName; readonly end: number } | null {
  const name: string[] = [];
  let bytes = 0;
  let at = start;
  let from = start;
  let end: number | null = null;
  for (;;) {
    if (at >= message.length) return null;
    const length = message.readUInt8(at);
    if (length >= 0xc0) {
      if (at + 2 > message.length) return null;
      end ??= at + 2;
      at = message.readUInt16BE(at) & 0x3fff;
      if (at >= from) return null;
      from = at;
      continue;
    }
    if (length === 0) return { name, end: end ?? at + 1 };
    bytes += length + 1;
    if (length > LABEL_BYTES_AT_MOST || bytes > NAME_BYTES_AT_MOST) return null;
    name.push(message.toString("utf8", at + 1, at + 1 + length));
    at += 1 + length;
  }
}
