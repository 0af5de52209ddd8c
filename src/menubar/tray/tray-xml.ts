// The introspection XML of the two interfaces; a test compares it with their answers.
import { method, signalOf } from "./bus-objects.ts";

export const MENU_XML = [
  method("GetLayout", "parentId i, recursionDepth i, propertyNames as", "revision u, layout (ia{sv}av)"),
  method("GetGroupProperties", "ids ai, propertyNames as", "properties a(ia{sv})"),
  method("GetProperty", "id i, name s", "value v"),
  method("Event", "id i, eventId s, data v, timestamp u"),
  method("EventGroup", "events a(isvu)", "idErrors ai"),
  method("AboutToShow", "id i", "needUpdate b"),
  method("AboutToShowGroup", "ids ai", "updatesNeeded ai, idErrors ai"),
  signalOf("ItemsPropertiesUpdated", "updatedProps a(ia{sv}), removedProps a(ias)"),
  signalOf("LayoutUpdated", "revision u, parent i"),
  signalOf("ItemActivationRequested", "id i, timestamp u"),
].join("");

export const ITEM_XML = [
  method("ContextMenu", "x i, y i"),
  method("Activate", "x i, y i"),
  method("SecondaryActivate", "x i, y i"),
  method("Scroll", "delta i, orientation s"),
  method("ProvideXdgActivationToken", "token s"),
  signalOf("NewTitle"),
  signalOf("NewIcon"),
  signalOf("NewAttentionIcon"),
  signalOf("NewOverlayIcon"),
  signalOf("NewToolTip"),
  signalOf("NewStatus", "status s"),
].join("");
