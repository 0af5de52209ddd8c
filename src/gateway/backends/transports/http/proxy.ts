// By which way to an address: directly, or through the proxy that the environment names. Pure.
import { BlockList, isIP } from "node:net";
import { isLoopbackUrl } from "../../../../config/values/host.ts";

type Environment = Readonly<Record<string, string | undefined>>;

export interface HttpProxy {
  readonly address: Address;
  readonly isSecure: boolean;
  /** `host:port`. Safe to show, unlike its address, which may hold a password. */
  readonly name: string;
  /** The environment variable that names the proxy. */
  readonly variable: string;
  /** Undefined: the address has no user. */
  readonly authorization: string | undefined;
}

/** The address of a proxy that cannot be used. */
interface UnusableProxy {
  readonly unusable: string;
}

export interface Address {
  readonly host: string;
  readonly port: number;
}

export function addressOf({ hostname, port, protocol }: URL): Address {
  const usual = protocol === "https:" ? 443 : 80;
  return { host: hostname.replace(/^\[(.*)\]$/, "$1"), port: port === "" ? usual : Number(port) };
}

export function hostAndPort(url: URL): string {
  return `${url.hostname}:${addressOf(url).port}`;
}

/**
 * Null: directly, as always to this machine. Of two spellings of a variable the one in small letters counts. An https
 * address never goes through the proxy for http, as with curl and Go.
 */
export function proxyFor(url: URL, environment: Environment): HttpProxy | UnusableProxy | null {
  const [variable, value] = variableOf(environment, url.protocol === "https:" ? "https_proxy" : "http_proxy");
  if (value === "" || isLoopbackUrl(url) || OF_THIS_MACHINE.test(url.hostname)) return null;
  const [, exempt] = variableOf(environment, "no_proxy");
  if (isExempt(addressOf(url), exempt)) return null;
  const proxy = URL.parse(value.includes("://") ? value : `http://${value}`);
  const isSecure = proxy?.protocol === "https:";
  const authorization = proxy === null ? null : basicOf(proxy);
  if (proxy === null || authorization === null || (!isSecure && proxy.protocol !== "http:"))
    return { unusable: variable };
  return { address: addressOf(proxy), isSecure, name: hostAndPort(proxy), variable, authorization };
}

/** As servers print the address at which they listen, and names below `localhost`. */
const OF_THIS_MACHINE = /^(?:0\.0\.0\.0|\[::\]|.*\.localhost\.?)$/;

/** The name and value of the variable that counts; "": it is not set. */
function variableOf(environment: Environment, lower: string): readonly [name: string, value: string] {
  const upper = lower.toUpperCase();
  const small = environment[lower]?.trim() ?? "";
  return small === "" ? [upper, environment[upper]?.trim() ?? ""] : [lower, small];
}

/** `list`: `*`, names with their subdomains, IP addresses and CIDR blocks, each with or without a port. */
function isExempt(address: Address, list: string): boolean {
  const host = address.host.toLowerCase().replace(/\.$/, "");
  return list
    .toLowerCase()
    .split(/[\s,]+/)
    .some((entry) => {
      if (entry === "*") return true;
      const isBare = isIP(entry.replace(/\/.*/, "")) !== 0;
      const [, name = "", port] = isBare ? [entry, entry] : (ENTRY.exec(entry) ?? []);
      if (name === "" || (port !== undefined && Number(port) !== address.port)) return false;
      return isWithin(host, name) ?? (host === name || host.endsWith(`.${name}`));
    });
}

const ENTRY = /^(?:\*?\.)?\[?(.*?)\]?(?::(\d+))?$/;

/** Null: `block` is neither an IP address nor a CIDR block. */
function isWithin(host: string, block: string): boolean | null {
  const [network = "", bits] = block.split("/");
  const family = isIP(network);
  if (family === 0) return null;
  const most = family === 6 ? 128 : 32;
  const prefix = Number(bits ?? most);
  if (!(prefix >= 0 && prefix <= most) || isIP(host) === 0) return false;
  const blocks = new BlockList();
  blocks.addSubnet(network, prefix, family === 6 ? "ipv6" : "ipv4");
  return blocks.check(host, isIP(host) === 6 ? "ipv6" : "ipv4");
}

/**
 * Returns the value of an `Authorization` header for the user in an address: undefined if the address names no user, null
 * if the user cannot be decoded.
 */
export function basicOf({ username, password }: URL): string | null | undefined {
  if (username === "" && password === "") return undefined;
  try {
    const user = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
    return `Basic ${Buffer.from(user).toString("base64")}`;
  } catch {
    return null;
  }
}
