// Fetches for signing in: with a deadline and a size limit, only to allowed addresses, and through no redirect that could
// carry a secret elsewhere.
import { BlockList } from "node:net";
import { isLoopbackUrl } from "../../../config/values/host.ts";
import { unlessAborted } from "../../../runtime/abort.ts";
import { MountaineerError, systemErrorCode } from "../../../runtime/errors.ts";
import { TEXT_BOUNDS } from "../../../runtime/text/bounds.ts";
import { printable } from "../../../runtime/text/plain-text.ts";
import type { Clock } from "../../../runtime/time/clock.ts";
import { userAgent } from "../../../runtime/version.ts";
import type { TransportFailure } from "../transports/backend-transport.ts";
import { readWhole } from "../transports/http/body.ts";
import { createDial } from "../transports/http/dial.ts";
import { redirectedPath } from "../transports/http/refusal.ts";
import { createHttpTarget, type HttpTarget, type RequestInfo } from "../transports/http/target.ts";
import { UNSIGNED } from "../transports/transport-authorization.ts";

const DEADLINE_MS = 15_000;
const MOST_REDIRECTS = 3;
const NO_BODY: ReadonlySet<number> = new Set([204, 205, 304]);

interface FetchOptions {
  readonly method: string;
  readonly headers?: Record<string, string>;
  readonly body?: string | URLSearchParams | undefined;
  readonly isBodyUnread?: boolean;
  /**
   * Follows redirects within the origin, three at most. `search`: one that leads elsewhere is the answer. Absent: rejects for
   * any, as a request with a code, a token or a client's secret must.
   */
  readonly follows?: "search" | "look";
}

/** Reads the whole body. Rejects with `sign_in_failed` (`retry` "later" for a temporary failure) and `aborted`. */
export type BoundedFetch = (address: string, options: FetchOptions) => Promise<Response>;

export interface FetchBounds {
  /** The server to sign in to. If it is on this machine, other addresses of this machine are also allowed. */
  readonly server: URL;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

export function createBoundedFetch(bounds: FetchBounds): BoundedFetch {
  const once = createSingleFetch(bounds);
  return async (address, options) => {
    let at = address;
    for (let hops = 0; ; hops++) {
      const response = await once(at, options);
      const { status } = response;
      if (status < 300 || status >= 400 || status === 304) return response;
      const { origin, pathname, search } = new URL(at);
      const where = {
        location: response.headers.get("location"),
        target: { origin, path: pathname + search },
      };
      // A GET stays one whatever the status; any other request is followed as messages are.
      const to = redirectedPath(options.method === "GET" ? 307 : status, where);
      if (options.follows !== undefined && to !== null && hops < MOST_REDIRECTS) at = origin + to;
      else if (options.follows === "search") return response;
      else throw failed("never", `${shownAddress(at)} redirects (HTTP ${status}), which is not followed`);
    }
  };
}

/** This machine. */
const HERE = ["0.0.0.0/8", "127.0.0.0/8", "::/127"];
/** Neighbours without a name, as the metadata of clouds is. Home networks have their own issuers. */
const NAMELESS = ["169.254.0.0/16", "fe80::/10", "fd00:ec2::254/128"];

function networks(list: readonly string[]): BlockList {
  const all = new BlockList();
  for (const [address = "", prefix] of list.map((one) => one.split("/")))
    all.addSubnet(address, Number(prefix), address.includes(":") ? "ipv6" : "ipv4");
  return all;
}

export const offLimits = (): BlockList => networks([...HERE, ...NAMELESS]);

/**
 * Whether the server is on this machine. Its certificate proves it, because the owner of a domain may let its name resolve to
 * this machine for a moment.
 */
async function isHere(server: URL, clock: Clock, signal: AbortSignal): Promise<boolean> {
  const socket = await createDial({ url: server, proxy: null, hostHeader: undefined }, clock)(signal);
  if ("how" in socket) return false;
  const { remoteAddress = "", remoteFamily } = socket;
  socket.destroy();
  return networks(HERE).check(remoteAddress, remoteFamily === "IPv6" ? "ipv6" : "ipv4");
}

function createSingleFetch({ server, clock, signal: given }: FetchBounds): BoundedFetch {
  return async (address, { method, headers = {}, body, isBodyUnread = false }) => {
    const url = allowedAddress(address, server);
    if (url === null) {
      throw failed("never", `${shownAddress(address)} is not a sign-in address: it must be https`);
    }
    const limit = new AbortController();
    const signal = AbortSignal.any([given, limit.signal]);
    const late = `${url.origin} gave no answer within ${DEADLINE_MS / 1000} s`;
    using _ = clock.setTimer(DEADLINE_MS, () => limit.abort(failed("later", late)));
    const question = {
      method,
      // The OAuth library would name itself.
      headers: { ...headers, "user-agent": userAgent() },
      ...(body && { body: body.toString() }),
    };
    const ask = async (blockList?: BlockList): Promise<Response> => {
      const at = { url: url.href, headers: {}, clock, authorization: UNSIGNED };
      const target = createHttpTarget({ ...at, blockList });
      if ("kind" in target) throw asFailed(target);
      try {
        return await unlessAborted(answer(target, question, isBodyUnread), signal);
      } finally {
        target.destroy();
      }
    };
    if (url.hostname === server.hostname || isLoopbackUrl(server)) return await ask();
    try {
      return await ask(offLimits());
    } catch (error) {
      const isBlocked = error instanceof Error && systemErrorCode(error.cause) === "ERR_IP_BLOCKED";
      if (!isBlocked || !(await isHere(server, clock, signal))) throw error;
      return await ask(networks(NAMELESS));
    }
  };
}

/** The answer, with its body unless `isBodyUnread`. */
function answer(target: HttpTarget, question: RequestInfo, isBodyUnread: boolean): Promise<Response> {
  const { promise, resolve, reject } = Promise.withResolvers<Response>();
  target.send(question, {
    onLost: (lost) => reject(asFailed(target.failure(lost), "error" in lost ? lost.error : null)),
    onResponse(response) {
      const { status } = response;
      const headers = [...response.headers];
      if (isBodyUnread) resolve(new Response(null, { status, headers }));
      else
        readWhole(response, TEXT_BOUNDS.loginAnswer.most, (bytes, end) => {
          const text = `${target.origin} answers with more than ${TEXT_BOUNDS.loginAnswer.most} bytes`;
          if (end === "overlong") reject(failed("never", text));
          else if (bytes === null)
            reject(failed("later", `the connection to ${target.name} broke within the answer`));
          else resolve(new Response(NO_BODY.has(status) ? null : new Uint8Array(bytes), { status, headers }));
        });
    },
  });
  return promise;
}

function asFailed({ message, hint }: TransportFailure, cause: Error | null = null): MountaineerError {
  return failed("later", message, hint ?? undefined, cause);
}

/** Leaves out the query, which may hold a secret. */
export function shownAddress(address: string): string {
  const url = URL.parse(address);
  const text = url === null ? address.slice(0, 200) : url.origin + url.pathname;
  return printable(text.slice(0, 500));
}

export function failed(
  retry: "later" | "never",
  message: string,
  hint?: string,
  cause?: unknown,
): MountaineerError {
  return new MountaineerError("sign_in_failed", message, { retry, hint, cause });
}

const LONGEST = 4_096;

/**
 * Returns the address if it may be used, else null. Addresses of this machine are allowed only if the server is on
 * this machine, and may use http; all other addresses need https.
 */
export function allowedAddress(text: string, server: URL): URL | null {
  const url = text.length > LONGEST ? null : URL.parse(text);
  if (url === null || url.username !== "" || url.password !== "") return null;
  if (url.protocol !== "https:" && url.protocol !== "http:") return null;
  const isLocal = isLoopbackUrl(url);
  if (isLocal) return isLoopbackUrl(server) ? url : null;
  return url.protocol === "https:" ? url : null;
}

/** The resource identifier (RFC 8707): without fragment, and without the slash of an empty path. */
export function resourceOf(server: URL): string {
  const { origin, pathname, search } = server;
  return pathname === "/" && search === "" ? origin : origin + pathname + search;
}

/** True if `resource` is the server's own path, or a path above it. */
export function isAboutServer(resource: string, server: URL): boolean {
  const url = URL.parse(resource);
  if (url === null || url.origin !== server.origin || url.hash !== "") return false;
  const folder = (path: string): string => (path.endsWith("/") ? path : `${path}/`);
  return folder(server.pathname).startsWith(folder(url.pathname));
}

/** RFC 9728: the address for the server's path, then the one for its origin. */
export function resourceMetadataAddresses(server: URL): readonly string[] {
  const base = `${server.origin}/.well-known/oauth-protected-resource`;
  return server.pathname === "/" ? [base] : [`${base}${server.pathname}${server.search}`, base];
}

/** In the order that MCP prescribes. */
export function issuerMetadataAddresses(issuer: URL): readonly string[] {
  const { origin } = issuer;
  const path = issuer.pathname.replace(/\/$/, "");
  const oauth = `${origin}/.well-known/oauth-authorization-server${path}`;
  const openid = `${origin}/.well-known/openid-configuration${path}`;
  return path === "" ? [oauth, openid] : [oauth, openid, `${origin}${path}/.well-known/openid-configuration`];
}
