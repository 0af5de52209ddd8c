// The addresses to which a client's answer may go: https, a program on the person's own computer, or the client's own scheme. Pure.
import { isHostAsWritten } from "../../config/values/address.ts";
import { isLoopbackHost } from "../../runtime/http/host-guard.ts";

const LONGEST = 1_024;
/** Schemes that browsers or systems handle themselves. */
const FOREIGN_SCHEMES = new Set(
  "about app blob chrome chrome-extension content data device-info dns facetime file filesystem ftp ftps gopher http https imap intent irc javascript jar ldap mailto market message moz-extension ms-settings news nfs rtsp search-ms sftp shell sip sms smb ssh tel telnet urn vbscript view-source wais ws wss".split(
    " ",
  ),
);

/** Schemes of known programs. */
const CLIENT_SCHEMES = new Set(
  "antigravity claude codex cursor goose kiro lmstudio trae vscode vscode-insiders warp windsurf zed".split(
    " ",
  ),
);

type Target =
  | { readonly kind: "https"; readonly host: string }
  /** `rest`: everything but the port, which a program on this computer chooses at each start. */
  | { readonly kind: "loopback"; readonly rest: string }
  | { readonly kind: "scheme"; readonly scheme: string };

/** null: no answer may go to this address. */
function targetOf(uri: string): Target | null {
  if (uri.length > LONGEST || /[\s\\<>"'`{}|^\p{Cc}\p{Cs}]|[^\x21-\x7e]/u.test(uri) || uri.includes("#"))
    return null;
  const url = URL.parse(uri);
  if (url === null || url.username !== "" || url.password !== "") return null;
  const scheme = url.protocol.slice(0, -1);
  if (scheme === "https") return isHostAsWritten(uri, url) ? { kind: "https", host: url.host } : null;
  if (scheme === "http") {
    const name = url.hostname.replace(/^\[|\]$/g, "");
    if (!isLoopbackHost(name) || !isHostAsWritten(uri, url)) return null;
    return { kind: "loopback", rest: `${url.hostname} ${url.pathname}${url.search}` };
  }
  const isOwn = uri.startsWith(`${scheme}:`) && !FOREIGN_SCHEMES.has(scheme);
  return isOwn ? { kind: "scheme", scheme } : null;
}

// Programs may write that they use any port of this computer: `http://localhost:*`, and the path.
function registeredTarget(uri: string): Target | null {
  return targetOf(uri.replace(/^(http:\/\/(?:localhost|127\.0\.0\.1|\[::1\])):\*(?=\/|$)/, "$1"));
}

export function isRedirectUri(uri: unknown): uri is string {
  return typeof uri === "string" && registeredTarget(uri) !== null;
}

/** Whether `uri` is one of the registered ones: exactly, but for the port of a program on this computer. */
export function isRegistered(uri: string, registered: readonly string[]): boolean {
  const target = targetOf(uri);
  if (target === null) return false;
  return registered.some((one) => {
    if (target.kind !== "loopback") return one === uri;
    const other = registeredTarget(one);
    return other?.kind === "loopback" && other.rest === target.rest;
  });
}

/** The scheme of the answer's address, if no known program has it and it has no dot (RFC 8252): any program may open it. */
export function unknownScheme(uri: string): string | null {
  const target = targetOf(uri);
  const isUnknown =
    target?.kind === "scheme" && !target.scheme.includes(".") && !CLIENT_SCHEMES.has(target.scheme);
  return isUnknown ? target.scheme : null;
}

/** The address of the answer in words. */
export function answersTo(uri: string): string {
  const target = targetOf(uri);
  if (target?.kind === "https") return `https://${target.host}`;
  if (target?.kind === "loopback") return "a program on the computer where the browser is";
  return `the app that opens ${target?.scheme}: links`;
}
