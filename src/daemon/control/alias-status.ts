// Aliases as the management API says them.
import type { AliasStatus } from "../../api/contract.ts";
import type { AliasView } from "../../shares/links/alias-links.ts";

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
