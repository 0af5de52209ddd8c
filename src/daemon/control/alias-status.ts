// Aliases as the management API says them.
import type { AliasStatus, StatusReport } from "../../api/contract.ts";
import type { AliasLinks, AliasView } from "../../shares/links/alias-links.ts";

/** Nothing where there is none. */
export function aliasStatus(aliases: Pick<AliasLinks, "status">): Pick<StatusReport, "aliases"> {
  const told = aliasStatuses(aliases.status());
  return told.length === 0 ? {} : { aliases: told };
}

export function aliasStatuses(views: readonly AliasView[]): AliasStatus[] {
  return views.map(({ name, share, targetSubpath, path, target, link, detail }) => ({
    name,
    share,
    target_subpath: targetSubpath,
    path,
    target,
    link,
    detail,
  }));
}
