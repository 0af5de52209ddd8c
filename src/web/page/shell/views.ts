// The views of the page, in the order of its navigation.
import type { FunctionComponent } from "preact";
import { ApprovalsView } from "../approvals/approvals-view.ts";
import { CatalogView } from "../catalog/catalog-view.ts";
import { ConfigView } from "../config/config-view.ts";
import { DashboardView } from "../dashboard/dashboard-view.ts";
import { FleetView } from "../fleet/fleet-view.ts";
import type { ViewProps } from "../parts/app.ts";
import { RecordsView } from "../records/records-view.ts";
import { SyncView } from "../sync/sync-view.ts";
import { TimelineView } from "../timeline/timeline-view.ts";

interface PageView {
  /** Behind `#/`. */
  readonly name: string;
  readonly title: string;
  readonly view: FunctionComponent<ViewProps>;
}

export const DASHBOARD: PageView = { name: "dashboard", title: "Dashboard", view: DashboardView };

export const VIEWS: readonly PageView[] = [
  DASHBOARD,
  { name: "fleet", title: "Fleet", view: FleetView },
  { name: "catalog", title: "Catalog", view: CatalogView },
  { name: "sync", title: "Sync", view: SyncView },
  { name: "config", title: "Config", view: ConfigView },
  { name: "approvals", title: "Approvals", view: ApprovalsView },
  { name: "timeline", title: "Timeline", view: TimelineView },
  { name: "records", title: "Records", view: RecordsView },
];

export function viewAt(hash: string): PageView {
  return VIEWS.find(({ name }) => hash === `#/${name}` || hash.startsWith(`#/${name}/`)) ?? DASHBOARD;
}
