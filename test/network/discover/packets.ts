// DNS answers, byte by byte.

const TYPES = { A: 1, PTR: 12, SRV: 33 } as const;

export function nameBytes(labels: readonly string[]): Buffer {
  const parts = labels.map((label) =>
    Buffer.concat([Buffer.from([Buffer.byteLength(label)]), Buffer.from(label)]),
  );
  return Buffer.concat([...parts, Buffer.from([0])]);
}

export function record(name: Buffer, type: keyof typeof TYPES, data: Buffer): Buffer {
  const head = Buffer.alloc(10);
  head.writeUInt16BE(TYPES[type], 0);
  head.writeUInt16BE(1, 2);
  head.writeUInt16BE(data.length, 8);
  return Buffer.concat([name, head, data]);
}

export function answer(records: readonly Buffer[]): Buffer {
  const header = Buffer.alloc(12);
  header.writeUInt8(0x84, 2);
  header.writeUInt16BE(records.length, 6);
  return Buffer.concat([header, ...records]);
}

/** What a server that offers SMB says of itself. */
export function advertised(
  instance: string,
  { host = "core", address, port = 445 }: { host?: string; address: string; port?: number },
): Buffer {
  const service = ["_smb", "_tcp", "local"];
  const name = nameBytes([instance, ...service]);
  const target = nameBytes([host, "local"]);
  const srv = Buffer.alloc(6);
  srv.writeUInt16BE(port, 4);
  return answer([
    record(nameBytes(service), "PTR", name),
    record(name, "SRV", Buffer.concat([srv, target])),
    record(target, "A", Buffer.from(address.split(".").map(Number))),
  ]);
}
