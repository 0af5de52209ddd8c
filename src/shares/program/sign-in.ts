// The right to contact the hosts of a share, and to sign in there. No password leaves this process but with a `SignIn`, which only a
// `Contact` lends, or a person who types a login for one server.
import type { NetworkLocation } from "../../network/location/network-location.ts";
import type { ShareMemory } from "../../reconcile/state-store.ts";
import { networksOf } from "../share-networks.ts";
import { ROUTE_NAMES, type SharePolicy, type ShareSpec } from "../share-spec.ts";
import type { Endpoints } from "./arguments.ts";

/** Known in this file only, so that no other can make a `SignIn`. */
const secret = Symbol("password");

/** A login for the servers behind these endpoints. */
export interface SignIn extends Pick<ShareSpec, "username"> {
  readonly [secret]: string | null;
  readonly isGuest: boolean;
  readonly endpoints: Endpoints;
  /**
   * The configured share whose record the program compares a server with before it gets the login; null: a person has typed
   * the login for this server.
   */
  readonly share: Pick<ShareSpec, "name" | "shareName"> | null;
}

/** What decides whether a share's hosts may be contacted. */
interface Contacted {
  readonly spec: Pick<ShareSpec, "name" | "shareName" | "routes" | "username" | "password">;
  readonly policy: Pick<SharePolicy, "onlyOn">;
  readonly memory: Pick<ShareMemory, "provedNetworks">;
  /** An address that its mount uses, although it may no longer be configured. */
  readonly inUse?: string;
}

/** Whether a share's hosts may be contacted from the networks of this machine. */
export class Contact {
  /** Why nothing may be sent to them; null: they may be contacted. */
  readonly offNetwork: string | null;
  /** The networks on which the share is used; empty: any. */
  readonly networks: readonly string[];
  readonly #spec: Contacted["spec"];

  private constructor(spec: Contacted["spec"], networks: readonly string[], offNetwork: string | null) {
    this.#spec = spec;
    this.networks = networks;
    this.offNetwork = offNetwork;
  }

  /** `atMs`: when the decision was begun, monotonic. An absent location allows every network. */
  static async check(
    location: Pick<NetworkLocation, "offNetworkReason"> | undefined,
    { spec, policy, memory, inUse = "" }: Contacted,
    atMs: number,
  ): Promise<Contact> {
    const hosts = ROUTE_NAMES.flatMap((route) => spec.routes[route].host ?? []);
    const networks = networksOf(policy, spec, memory);
    const offNetwork = await location?.offNetworkReason(networks, [...hosts, inUse], atMs);
    return new Contact(spec, networks, offNetwork ?? null);
  }

  /** null: nothing may be sent there. */
  signIn(endpoints: Endpoints): SignIn | null {
    const { username, password, name, shareName } = this.#spec;
    if (this.offNetwork !== null) return null;
    return {
      username,
      isGuest: password === null,
      endpoints,
      share: { name, shareName },
      [secret]: password,
    };
  }
}

/** The login that a person has typed for the server behind these endpoints. */
export function typedSignIn(login: Pick<ShareSpec, "username" | "password">, endpoints: Endpoints): SignIn {
  const { username, password } = login;
  return { username, isGuest: password === null, endpoints, share: null, [secret]: password };
}

/** For those who pass it on to a program that signs in with it; null: guest. */
export function passwordOf(signIn: SignIn): string | null {
  return signIn[secret];
}
