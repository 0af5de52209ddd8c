// Fetches a client id metadata document, at the https address that is the client's id. Never from a private network: every address of
// the host must be public, and the connection goes to an address that was checked.
import { lookup as systemLookup } from "node:dns";
import type { RequestOptions } from "node:https";
import { BlockList, isIP, type LookupFunction } from "node:net";
import { isHostAsWritten } from "../../config/values/address.ts";
import { isObject } from "../../runtime/text/json-object.ts";
import { parseJson } from "../../runtime/text/parse-json.ts";
import { type ClientRecord, readMetadata } from "./client-record.ts";

const LONGEST_URL = 1_024;
const DEADLINE_MS = 5_000;
const LARGEST_BYTES = 64 * 1024;

/** Networks that are not public; of IPv6, within the only public part: addresses that contain others, for documents, for benchmarks. */
const RESERVED = [
  ...[
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
  ],
  ...[
    "192.0.2.0/24",
    "192.31.196.0/24",
    "192.52.193.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "192.175.48.0/24",
  ],
  ...["198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/3"],
  ...["2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20"],
];
const PUBLIC_IPV6 = ["2000::/3"];

function isIn(networks: readonly string[], address: string): boolean {
  const list = new BlockList();
  for (const network of networks) {
    const [first = "", bits = ""] = network.split("/");
    list.addSubnet(first, Number(bits), isIP(first) === 4 ? "ipv4" : "ipv6");
  }
  return list.check(address, isIP(address) === 4 ? "ipv4" : "ipv6");
}

export function isPublicAddress(address: string): boolean {
  const family = isIP(address);
  return family !== 0 && (family === 4 || isIn(PUBLIC_IPV6, address)) && !isIn(RESERVED, address);
}

/** Whether a client's id is the address of its document. */
export function isDocumentUrl(id: string): boolean {
  const url = id.length <= LONGEST_URL && id.startsWith("https://") ? URL.parse(id) : null;
  if (url === null || url.username !== "" || url.password !== "" || id.includes("#")) return false;
  const isName = isIP(url.hostname.replace(/^\[|\]$/g, "")) === 0 && url.hostname.includes(".");
  // `href` differs from an id with dots in its path, or in another spelling.
  return isName && url.pathname !== "/" && url.href === id && isHostAsWritten(id, url);
}

/** Replaced in tests. */
export interface FetchMeans {
  readonly lookup: typeof systemLookup;
  readonly isAllowed: (address: string) => boolean;
  readonly tls: Pick<RequestOptions, "port">;
}

const MEANS: FetchMeans = { lookup: systemLookup, isAllowed: isPublicAddress, tls: {} };

/** Returns the record, or the reason why there is none. Never rejects. */
export async function fetchClient(id: string, means: FetchMeans = MEANS): Promise<ClientRecord | string> {
  if (!isDocumentUrl(id)) return "its id is not the https address of a document";
  try {
    const text = await fetchText(id, means);
    const body: unknown = parseJson(text);
    if (!isObject(body) || body["client_id"] !== id) return "its document names another client_id";
    if ("client_secret" in body) return "its document has a secret in it";
    const read = readMetadata(body);
    if (!read.ok) return read.reason;
    return { id, name: read.name, redirectUris: read.redirectUris, publishedBy: new URL(id).hostname };
  } catch (error) {
    return error instanceof Refused ? error.message : "its document cannot be fetched";
  }
}

class Refused extends Error {}

function fetchText(id: string, { lookup, isAllowed, tls }: FetchMeans): Promise<string> {
  const { request } = process.getBuiltinModule("node:https");
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const signal = AbortSignal.timeout(DEADLINE_MS);
  const checkedLookup: LookupFunction = (host, _options, done) =>
    lookup(host, { all: true }, (error, found) => {
      if (error !== null) done(error, []);
      else if (found.length === 0 || !found.every(({ address }) => isAllowed(address)))
        done(new Refused("its document is in a private network"), []);
      else done(null, found);
    });
  const headers = { Accept: "application/json" };
  const sent = request(id, { ...tls, headers, signal, lookup: checkedLookup, agent: false }, (response) => {
    const chunks: Buffer[] = [];
    let size = 0;
    const fail = (reason: string): void => {
      response.destroy();
      reject(new Refused(reason));
    };
    if (response.statusCode !== 200) return fail("its document cannot be fetched: only status 200 counts");
    response.on("data", (chunk: Buffer) => {
      size += chunk.length;
      if (size > LARGEST_BYTES) fail("its document is too large");
      else chunks.push(chunk);
    });
    response.once("error", reject);
    response.once("end", () => resolve(Buffer.concat(chunks).toString("utf8")));
    return undefined;
  });
  sent.once("socket", (socket) =>
    socket.once("connect", () => {
      if (!isAllowed(socket.remoteAddress ?? ""))
        sent.destroy(new Refused("its document is in a private network"));
    }),
  );
  sent.once("error", reject);
  sent.end();
  return promise;
}
