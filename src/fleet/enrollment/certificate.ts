// A fleet's own certificate authority and its server's certificate: X.509 in DER, as in RFC 5280. They are
// encoded here because Node can sign and read certificates but not make them, and `openssl` is not installed
// everywhere and differs between systems.
import { generateKeyPairSync, type KeyObject, randomBytes, sign } from "node:crypto";
import { isIP, isIPv4, SocketAddress } from "node:net";
import { fingerprintOf } from "../keys/nkey.ts";

const DAY_MS = 86_400_000;
/** How far back a certificate's validity begins, ms: a machine's clock may be behind. */
const BEFORE_MS = 2 * DAY_MS;
/** Fifty years: nothing renews them, because every member would have to learn the new authority. */
const VALID_MS = 18_250 * DAY_MS;

const AUTHORITY = "Mountaineer fleet";

const [SEQUENCE, SET, INTEGER, BITS, OCTETS, OID, UTF8] = [0x30, 0x31, 0x02, 0x03, 0x04, 0x06, 0x0c];
const OIDS = {
  ecdsaWithSha256: "2a8648ce3d040302",
  commonName: "550403",
  subjectKey: "551d0e",
  keyUsage: "551d0f",
  subjectNames: "551d11",
  basicConstraints: "551d13",
  authorityKey: "551d23",
  extendedUsage: "551d25",
  serverAuth: "2b06010505070301",
} as const;

interface FleetCertificates {
  /** PEM; the fingerprint is the SHA-256 of its DER form, as hex digits. */
  readonly authority: { readonly certificate: string; readonly fingerprint: string };
  /** Both PEM; the key is secret. */
  readonly server: { readonly certificate: string; readonly key: string };
}

/**
 * A certificate authority, and the server's certificate by it. `hosts`: the names and addresses by which machines
 * reach the server. The authority's key is dropped here: no other certificate can be issued in its name.
 */
export function issueCertificates(hosts: readonly string[], nowMs: number): FleetCertificates {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const authority = issue(privateKey, nameOf(AUTHORITY), publicKey, nowMs, [
    // Path length 0: the authority signs no further authorities.
    extension(
      "basicConstraints",
      tlv(SEQUENCE, tlv(0x01, Buffer.from([0xff])), integer(Buffer.from([0]))),
      true,
    ),
    extension("keyUsage", tlv(BITS, Buffer.from([1, 0x06])), true),
    extension("subjectKey", tlv(OCTETS, keyId(publicKey))),
  ]);
  const server = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const der = issue(privateKey, nameOf("Mountaineer fleet server"), server.publicKey, nowMs, [
    extension("basicConstraints", tlv(SEQUENCE), true),
    extension("keyUsage", tlv(BITS, Buffer.from([7, 0x80])), true),
    extension("extendedUsage", tlv(SEQUENCE, oid("serverAuth"))),
    extension("subjectKey", tlv(OCTETS, keyId(server.publicKey))),
    extension("authorityKey", tlv(SEQUENCE, tlv(0x80, keyId(publicKey)))),
    extension("subjectNames", tlv(SEQUENCE, ...[...new Set(hosts)].map(subjectName))),
  ]);
  return {
    authority: {
      certificate: certificatePem(authority),
      fingerprint: fingerprintOf(authority).toString("hex"),
    },
    server: {
      certificate: certificatePem(der),
      key: server.privateKey.export({ format: "pem", type: "pkcs8" }).toString(),
    },
  };
}

function issue(
  signer: KeyObject,
  subject: Buffer,
  publicKey: KeyObject,
  nowMs: number,
  extensions: readonly Buffer[],
): Buffer {
  const body = tlv(
    SEQUENCE,
    tlv(0xa0, integer(Buffer.from([2]))),
    integer(randomBytes(16)),
    algorithm(),
    nameOf(AUTHORITY),
    tlv(SEQUENCE, time(nowMs - BEFORE_MS), time(nowMs + VALID_MS)),
    subject,
    publicKey.export({ format: "der", type: "spki" }),
    tlv(0xa3, tlv(SEQUENCE, ...extensions)),
  );
  return tlv(SEQUENCE, body, algorithm(), bits(sign("sha256", body, signer)));
}

export function certificatePem(der: Buffer): string {
  const lines = der.toString("base64").match(/.{1,64}/g) ?? [];
  return ["-----BEGIN CERTIFICATE-----", ...lines, "-----END CERTIFICATE-----", ""].join("\n");
}

function extension(name: keyof typeof OIDS, value: Buffer, isCritical = false): Buffer {
  const critical = isCritical ? [tlv(0x01, Buffer.from([0xff]))] : [];
  return tlv(SEQUENCE, oid(name), ...critical, tlv(OCTETS, value));
}

function subjectName(host: string): Buffer {
  return isIP(host) === 0 ? tlv(0x82, Buffer.from(host, "latin1")) : tlv(0x87, addressBytes(host));
}

function addressBytes(address: string): Buffer {
  if (isIPv4(address)) return Buffer.from(address.split(".").map(Number));
  // Node shortens the longest run of zeros to "::". The words before it count from the start, those after it
  // from the end.
  const plain = new SocketAddress({ address, family: "ipv6" }).address;
  const [head = "", tail] = plain.split("::");
  const groups = (text: string): number[] =>
    text === ""
      ? []
      : text.split(":").flatMap((part) => {
          if (!part.includes(".")) return [Number.parseInt(part, 16)];
          const [a = 0, b = 0, c = 0, d = 0] = part.split(".").map(Number);
          return [a * 256 + b, c * 256 + d];
        });
  const [first, last] = [groups(head), groups(tail ?? "")];
  const all = [...first, ...Array<number>(8 - first.length - last.length).fill(0), ...last];
  return Buffer.from(all.flatMap((group) => [group >> 8, group & 0xff]));
}

function keyId(publicKey: KeyObject): Buffer {
  return fingerprintOf(publicKey.export({ format: "der", type: "spki" })).subarray(0, 20);
}

function nameOf(text: string): Buffer {
  return tlv(SEQUENCE, tlv(SET, tlv(SEQUENCE, oid("commonName"), tlv(UTF8, Buffer.from(text)))));
}

function algorithm(): Buffer {
  return tlv(SEQUENCE, oid("ecdsaWithSha256"));
}

/** UTCTime up to 2049, GeneralizedTime with a four-digit year from 2050 on. */
function time(atMs: number): Buffer {
  const digits = `${new Date(atMs).toISOString().slice(0, 19).replace(/[-:T]/g, "")}Z`;
  return digits < "2050" ? tlv(0x17, Buffer.from(digits.slice(2))) : tlv(0x18, Buffer.from(digits));
}

function oid(name: keyof typeof OIDS): Buffer {
  return tlv(OID, Buffer.from(OIDS[name], "hex"));
}

/** A positive INTEGER in its shortest form. */
function integer(bytes: Buffer): Buffer {
  const first = bytes.findIndex((byte) => byte !== 0);
  const plain = first < 0 ? Buffer.from([0]) : bytes.subarray(first);
  return tlv(INTEGER, (plain[0] ?? 0) >= 0x80 ? Buffer.concat([Buffer.from([0]), plain]) : plain);
}

function bits(bytes: Buffer): Buffer {
  return tlv(BITS, Buffer.concat([Buffer.from([0]), bytes]));
}

function tlv(tag: number, ...parts: readonly Buffer[]): Buffer {
  const body = Buffer.concat(parts);
  const { length } = body;
  const size =
    length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...size]), body]);
}
