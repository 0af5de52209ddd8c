// The arguments that all commands of mountaineer-fs have in common. Nothing secret is among them: the password goes to standard
// input.
import type { RouteName } from "../share-spec.ts";

/** Where a route leads. */
export interface Endpoint {
  readonly address: string;
  readonly port: number;
  /** Connections leave from the present address of this interface; null: the system chooses. */
  readonly interfaceName: string | null;
  /** The configuration names the interface: connections are bound to it where no other one has an address of the network. */
  readonly isNamed?: boolean;
}

export type Endpoints = Readonly<Partial<Record<RouteName, Endpoint>>>;

export function routeArguments(name: string, endpoint: Endpoint | undefined): string[] {
  if (endpoint === undefined) return [];
  const { address, port, interfaceName, isNamed = false } = endpoint;
  const through = interfaceName === null ? "" : `,interface=${interfaceName}${isNamed ? ",named=true" : ""}`;
  return ["-route", `name=${name},address=${address},port=${port}${through}`];
}

interface Account {
  readonly username: string;
  readonly isGuest: boolean;
}

export function accountArguments({ username, isGuest }: Account): string[] {
  if (isGuest) return ["-guest"];
  const [, domain, user] = /^([^\\;]+)[\\;](.+)$/s.exec(username) ?? [];
  return ["-user", user ?? username, "-sign", ...(domain === undefined ? [] : ["-domain", domain])];
}

/** The home's folder through which all programs log in. */
export function loginsFolder(home: string): string {
  return `${home}/logons`;
}
