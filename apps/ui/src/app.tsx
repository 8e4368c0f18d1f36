import { type PointerEvent, type ReactNode, useEffect, useState } from "react";
import { Details } from "./details/details.tsx";
import { FilterInput } from "./filters/filter-input.tsx";
import { NamespacePicker } from "./filters/namespace-picker.tsx";
import { PolicyStatePicker } from "./filters/policy-state-picker.tsx";
import { SavedFilters } from "./filters/saved-filters.tsx";
import { TimePicker } from "./filters/time-picker.tsx";
import { VerdictPicker } from "./filters/verdict-picker.tsx";
import { FlowTable } from "./flows/flow-table.tsx";
import { ServiceMap } from "./map/service-map.tsx";
import { Help, isWriting } from "./parts/help.tsx";
import { Banners, StatusBar } from "./parts/status-bar.tsx";
import { ThemeButton } from "./parts/theme-button.tsx";
import { PoliciesTab } from "./policies/policies-tab.tsx";
import { ServicesTable } from "./services/services-table.tsx";
import { WhoAmI } from "./sign-in/who-am-i.tsx";
import { type Tab, tabs } from "./state/address.ts";
import { PageProvider, usePage } from "./state/page.tsx";
import { readPreference, writePreference } from "./state/preferences.ts";

export function App(): ReactNode {
  return (
    <PageProvider>
      <Header />
      <Banners />
      <Main />
    </PageProvider>
  );
}

function Header(): ReactNode {
  useKeys();
  return (
    <header className="top">
      <h1>Hubble</h1>
      <nav aria-label="What is shown">
        <Tabs />
      </nav>
      <NamespacePicker />
      <VerdictPicker />
      <PolicyStatePicker />
      <TimePicker />
      <FilterInput />
      <SavedFilters />
      <StatusBar />
      <WhoAmI />
      <ThemeButton />
      <Help />
    </header>
  );
}

const tabNames: Readonly<Record<Tab, string>> = { map: "Map", services: "Services", flows: "Flows", policies: "Policies" };

function Tabs(): ReactNode {
  const { address, go } = usePage();
  return tabs.map((tab) => (
    <button key={tab} type="button" aria-current={address.tab === tab ? "page" : undefined} onClick={() => go({ tab })}>
      {tabNames[tab]}
    </button>
  ));
}

function isPart(value: unknown): value is number {
  return typeof value === "number" && value >= 0.1 && value <= 0.9;
}

function Main(): ReactNode {
  const { address } = usePage();
  const [part, setPart] = useState(() => readPreference("map-part", isPart) ?? 0.62);
  const onResize = (next: number): void => {
    const kept = Math.min(0.9, Math.max(0.1, next));
    setPart(kept);
    writePreference("map-part", kept);
  };
  return (
    <main className={address.selection === undefined ? "" : "with-details"}>
      {address.tab === "flows" && <FlowTable />}
      {address.tab === "services" && <ServicesTable />}
      {address.tab === "policies" && <PoliciesTab />}
      {address.tab === "map" && (
        <div className="split" style={{ gridTemplateRows: `minmax(0, ${part}fr) auto minmax(0, ${1 - part}fr)` }}>
          <ServiceMap />
          <Divider part={part} onResize={onResize} />
          <FlowTable />
        </div>
      )}
      <Details />
    </main>
  );
}

/** Between map and table: drawn by pointer, or moved by arrow keys. */
function Divider({ part, onResize }: { readonly part: number; readonly onResize: (part: number) => void }): ReactNode {
  const onPointerMove = (event: PointerEvent<HTMLDivElement>): void => {
    if (!event.currentTarget.hasPointerCapture(event.pointerId)) return;
    const box = event.currentTarget.parentElement?.getBoundingClientRect();
    if (box !== undefined) onResize((event.clientY - box.top) / box.height);
  };
  return (
    <div
      className="divider"
      role="separator"
      aria-orientation="horizontal"
      aria-label="Height of the map"
      aria-valuenow={Math.round(part * 100)}
      aria-valuemin={10}
      aria-valuemax={90}
      tabIndex={0}
      onPointerDown={(event) => event.currentTarget.setPointerCapture(event.pointerId)}
      onPointerMove={onPointerMove}
      onKeyDown={(event) => {
        const step = event.key === "ArrowDown" ? 0.05 : event.key === "ArrowUp" ? -0.05 : 0;
        if (step === 0) return;
        event.preventDefault();
        onResize(part + step);
      }}
    />
  );
}

/** Keys that work everywhere but in texts. */
function useKeys(): void {
  const { go } = usePage();
  useEffect(() => {
    const onKeyDown = (event: KeyboardEvent): void => {
      if (event.ctrlKey || event.metaKey || event.altKey || isWriting(event.target)) return;
      const tab = tabs[Number(event.key) - 1];
      if (event.key === "/") document.getElementById("filter")?.focus();
      else if (event.key === "p") document.getElementById("pause")?.click();
      else if (tab !== undefined) go({ tab });
      else return;
      event.preventDefault();
    };
    addEventListener("keydown", onKeyDown);
    return () => removeEventListener("keydown", onKeyDown);
  }, [go]);
}
