// The servers with an account for each user, and what users see of them: the owner's lists, without what is other at their accounts.
import { memoized } from "../../runtime/memo.ts";
import type { BackendPool } from "../backends/pool/backend-pool.ts";
import { type Listings, NO_LISTINGS } from "../catalog/catalog.ts";
import { accountEntry, type SeparateServers } from "../middleware/policies.ts";
import { entryDigest } from "../pins/pinned-entry.ts";
import type { GatewayRules } from "./gateway-rules.ts";

/** The servers with an account for each user. */
export function separateOf({ backends }: Pick<GatewayRules["config"], "backends">): ReadonlySet<string> {
  return new Set(backends.flatMap(({ name, accounts }) => (accounts === "each" ? [name] : [])));
}

/** Also what differs there at users' accounts. */
export function separateServers(config: GatewayRules["config"], pool: BackendPool): SeparateServers {
  const owners = new Map([...pool.published, ...pool.unavailable].map((source) => [source.backend, source]));
  const differencesAt = (name: string) => {
    const of = differencesFrom(owners.get(name)?.listings ?? NO_LISTINGS);
    const lists = [...pool.accountLists].filter(([{ backend }]) => backend === name);
    return new Map(lists.map(([{ listings }, user]) => [user, of(listings)]));
  };
  return new Map([...separateOf(config)].map((name) => [name, differencesAt(name)]));
}

/** The owner's tools and prompts that another account's lists do not have with the same digest. */
const differencesFrom = memoized((owners: Listings) =>
  memoized((others: Listings): ReadonlySet<string> => {
    const alike = new Map(keysOf(others));
    return new Set(keysOf(owners).flatMap(([key, digest]) => (alike.get(key) === digest ? [] : key)));
  }),
);

const keysOf = ({ tools, prompts }: Listings): readonly (readonly [key: string, digest: string])[] =>
  (["tool", "prompt"] as const).flatMap((kind) =>
    (kind === "tool" ? tools : prompts).map(
      (entry) => [accountEntry(kind, String(entry["name"])), entryDigest(entry)] as const,
    ),
  );
