// Fetches a client id metadata document, at the https address that is the client's id. Never from a private network: every address of
// the host must be public, and the connection goes to an address that was checked.
import { lookup as systemLookup } from "node:dns";
import type { RequestOptions } from "node:https";
import { BlockList, isIP, type LookupFunction } from "node:net";
import { isHostAsWritten } from "../../config/values/address.ts";
import { jsonObject } from "../../runtime/text/json-object.ts";
import { OAuthError } from "./answer.ts";
import { type ClientRecord, readMetadata } from "./client-record.ts";

const LONGEST_URL = 1_024;
const DEADLINE_MS = 5_000;
const LARGEST_BYTES = 64 * 1024;

/** Networks that are not public; of IPv6, those within its only public part. */
const RESERVED =
  "0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 192.0.2.0/24 192.31.196.0/24 " +
  "192.52.193.0/24 192.88.99.0/24 192.168.0.0/16 192.175.48.0/24 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 224.0.0.0/3 " +
  "2001::/23 2001:db8::/32 2002::/16 2620:4f:8000::/48 3fff::/20";
const PUBLIC_IPV6 = "2000::/3";

function isIn(networks: string, address: string): boolean {
  const list = new BlockList();
  for (const network of networks.split(" ")) {
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

/** Rejects with an OAuthError. */
export async function fetchClient(id: string, means: FetchMeans = MEANS): Promise<ClientRecord> {
  const text = await fetchText(id, means).catch((error: unknown) => {
    throw error instanceof OAuthError ? error : refusal("cannot be fetched");
  });
  const body = jsonObject(text);
  if (body?.["client_id"] !== id) throw refusal("names another client_id");
  if ("client_secret" in body) throw refusal("has a secret in it");
  const { token_endpoint_auth_method: method = "none" } = body;
  // A program that publishes a key must prove that it has it, which cannot be asked for here.
  if (method !== "none") throw refusal("asks for another sign-in of programs than `none`, the only one here");
  return { id, ...readMetadata(body), publishedBy: new URL(id).hostname };
}

function refusal(why: string): OAuthError {
  return new OAuthError("invalid_client", `the program's document ${why}`);
}

function fetchText(id: string, { lookup, isAllowed, tls }: FetchMeans): Promise<string> {
  const { request } = process.getBuiltinModule("node:https");
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const signal = AbortSignal.timeout(DEADLINE_MS);
  const checkedLookup: LookupFunction = (host, _options, done) =>
    lookup(host, { all: true }, (error, found) => {
      if (error !== null) done(error, []);
      else if (found.length === 0 || !found.every(({ address }) => isAllowed(address)))
        done(refusal("is in a private network"), []);
      else done(null, found);
    });
  const headers = { Accept: "application/json" };
  const sent = request(id, { ...tls, headers, signal, lookup: checkedLookup, agent: false }, (response) => {
    const chunks: Buffer[] = [];
    let size = 0;
    const fail = (reason: string): void => {
      response.destroy();
      reject(refusal(reason));
    };
    if (response.statusCode !== 200) return fail("must be answered with status 200");
    response.on("data", (chunk: Buffer) => {
      size += chunk.length;
      if (size > LARGEST_BYTES) fail("is too large");
      else chunks.push(chunk);
    });
    response.once("error", reject);
    response.once("end", () => resolve(Buffer.concat(chunks).toString("utf8")));
    return undefined;
  });
  sent.once("socket", (socket) =>
    socket.once("connect", () => {
      if (!isAllowed(socket.remoteAddress ?? "")) sent.destroy(refusal("is in a private network"));
    }),
  );
  sent.once("error", reject);
  sent.end();
  return promise;
}
