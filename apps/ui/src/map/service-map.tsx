import { type ReactNode, type RefObject, useEffect, useMemo, useRef, useState } from "react";
import { Menu } from "../parts/menu.tsx";
import { saveFile } from "../parts/save-file.ts";
import { usePage, useStore } from "../state/page.tsx";
import { Drawing, type Theme } from "./draw.ts";
import type { Layout } from "./layout.ts";
import type { LayoutRequest } from "./layout-worker.ts";
import { Legend } from "./legend.tsx";
import { MapView } from "./map-view.ts";
import { layoutInputOf, visibleMap } from "./pairs.ts";
import { policyText } from "./policy-marks.ts";
import { buildScene, type CardShape } from "./scene.ts";
import { sceneToSvg } from "./scene-to-svg.ts";
import { useTheme } from "./use-theme.ts";

const emptyLayout: Layout = { cards: new Map(), islands: [], bounds: { x: 0, y: 0, width: 0, height: 0 } };

export function ServiceMap(): ReactNode {
  const { address, go } = usePage();
  const canvas = useRef<HTMLCanvasElement>(null);
  const keys = useRef<HTMLDivElement>(null);
  const view = useRef<MapView>(null);
  const [announcement, setAnnouncement] = useState("");
  const theme = useTheme();
  const { drawing, layout, tidy, hiddenCount } = useDrawing();
  const goNow = useRef(go);
  goNow.current = go;

  useEffect(() => {
    if (canvas.current === null || keys.current === null) return;
    const map = new MapView(canvas.current, keys.current, {
      onSelectCard: (id) => goNow.current({ selection: { kind: "service", id } }),
      onSelectPair: (source, destination) => goNow.current({ selection: { kind: "pair", source, destination } }),
      onSelectNothing: () => goNow.current({ selection: undefined }),
      onFocusCard: (card) =>
        setAnnouncement(
          card === undefined
            ? ""
            : `${card.service.name}, ${card.subtitle}${card.hasDrops ? ", with drops" : ""}${policySaid(card)}. Enter shows details.`,
        ),
    });
    view.current = map;
    return () => map.dispose();
  }, []);
  useEffect(() => view.current?.setTheme(theme), [theme]);
  useEffect(() => view.current?.show(drawing, layout.bounds), [drawing, layout]);
  const { rates } = useStore("rates").revisions;
  useEffect(() => view.current?.refresh(), [rates]);
  const { selection } = address;
  useEffect(() => {
    view.current?.select({
      selectedCard: selection?.kind === "service" ? selection.id : undefined,
      selectedPair: selection?.kind === "pair" ? `${selection.source} ${selection.destination}` : undefined,
    });
  }, [selection]);

  return (
    <section className="map" aria-label="Service map">
      <div
        ref={keys}
        className="map-keys"
        tabIndex={0}
        role="application"
        aria-label="Service map. Arrow keys go from card to card, Enter shows details, plus and minus zoom, 0 fits. The Services tab has the same as a table."
      >
        <canvas
          ref={canvas}
          data-cards={drawing.scene.cards.length}
          data-edges={drawing.scene.edges.length}
          data-islands={drawing.scene.islands.length}
          data-policies={policyTotals(drawing)}
          data-dropped={drawing.scene.edges.filter(({ state }) => state === "dropped" || state === "mixed").length}
        />
      </div>
      <p className="visually-hidden" aria-live="polite">
        {announcement}
      </p>
      <Tools view={view} drawing={drawing} layout={layout} theme={theme} tidy={tidy} hiddenCount={hiddenCount} />
      <Legend hasPolicies={drawing.scene.cards.some(({ service }) => service.policy !== null)} />
    </section>
  );
}

/** `enforced 2, none 4`: directions of all cards. */
function policyTotals({ scene }: Drawing): string {
  const states = scene.cards.flatMap(({ service: { policy } }) => (policy === null ? [] : [policy.ingress, policy.egress]));
  return [...new Set(states)]
    .sort()
    .map((state) => `${state} ${states.filter((other) => other === state).length}`)
    .join(", ");
}

function policySaid({ service: { policy } }: CardShape): string {
  return policy === null ? "" : `, policy: ${policyText(policy)}`;
}

interface ToolsProperties {
  readonly view: RefObject<MapView | null>;
  readonly drawing: Drawing;
  readonly layout: Layout;
  readonly theme: Theme;
  readonly tidy: () => void;
  readonly hiddenCount: number;
}

function Tools({ view, drawing, layout, theme, tidy, hiddenCount }: ToolsProperties): ReactNode {
  const { address, go } = usePage();
  return (
    <div className="map-tools" role="toolbar" aria-label="Map">
      <button type="button" onClick={() => view.current?.zoomIn()} aria-label="Zoom in">
        +
      </button>
      <button type="button" onClick={() => view.current?.zoomOut()} aria-label="Zoom out">
        −
      </button>
      <button type="button" onClick={() => view.current?.fit()}>
        Fit
      </button>
      <button type="button" onClick={tidy} title="Arrange all cards anew">
        Tidy
      </button>
      <ExportMenu drawing={drawing} layout={layout} theme={theme} />
      {address.focus !== undefined && (
        <button type="button" className="pressed" onClick={() => go({ focus: undefined })}>
          Leave focus
        </button>
      )}
      {hiddenCount > 0 && (
        <button type="button" onClick={() => go({ hidden: [] })}>
          Show {hiddenCount} hidden
        </button>
      )}
    </div>
  );
}

/** The drawing of what is visible; made again when services or states change, not when numbers do. */
function useDrawing(): { drawing: Drawing; layout: Layout; tidy: () => void; hiddenCount: number } {
  const { address } = usePage();
  const store = useStore("structure");
  const { structure } = store.revisions;
  const { focus, hidden, pinned, policyStates } = address;
  // The revision stands for the maps, which are changed in place.
  const visible = useMemo(
    () => visibleMap(store.services, store.links.values(), { focus, hidden, policyStates }),
    [store, structure, focus, hidden, policyStates],
  );
  const [layout, setLayout] = useState<Layout>(emptyLayout);
  const worker = useRef<Worker>(null);
  const isFresh = useRef(true);

  useEffect(() => {
    const started = new Worker(new URL(`./${layoutWorkerFile}`, document.baseURI), { type: "module" });
    started.addEventListener("message", ({ data }: MessageEvent<Layout>) => setLayout(data));
    worker.current = started;
    return () => started.terminate();
  }, []);
  const shapeKey = useMemo(() => `${visible.services.map(({ id }) => id).join()} ${visible.pairs.length}`, [visible]);
  // Only other services and pairs need another layout.
  useEffect(() => {
    const request: LayoutRequest = { input: layoutInputOf(visible), isFresh: isFresh.current };
    isFresh.current = false;
    worker.current?.postMessage(request);
  }, [shapeKey]);
  const tidy = (): void => worker.current?.postMessage({ input: layoutInputOf(visible), isFresh: true } satisfies LayoutRequest);

  const drawing = useMemo(() => new Drawing(buildScene(visible, layout.cards, layout.islands, pinned)), [visible, layout, pinned]);
  return { drawing, layout, tidy, hiddenCount: visible.hiddenCount };
}

function ExportMenu({ drawing, layout, theme }: { readonly drawing: Drawing; readonly layout: Layout; readonly theme: Theme }): ReactNode {
  const svg = (): string => sceneToSvg(drawing.scene, layout.bounds, theme);
  return (
    <Menu label="Export">
      <button type="button" role="menuitem" onClick={() => saveFile("hubble-map.svg", new Blob([svg()], { type: "image/svg+xml" }))}>
        Map as SVG
      </button>
      <button type="button" role="menuitem" onClick={() => void savePng(svg(), layout)}>
        Map as PNG
      </button>
    </Menu>
  );
}

/** Browsers refuse larger canvases. */
const pngSideMax = 8_000;

async function savePng(svg: string, { bounds }: Layout): Promise<void> {
  const image = new Image();
  image.src = URL.createObjectURL(new Blob([svg], { type: "image/svg+xml" }));
  await image.decode();
  URL.revokeObjectURL(image.src);
  const scale = Math.min(2, pngSideMax / Math.max(bounds.width, bounds.height, 1));
  const canvas = document.createElement("canvas");
  canvas.width = Math.round(image.width * scale);
  canvas.height = Math.round(image.height * scale);
  canvas.getContext("2d")?.drawImage(image, 0, 0, canvas.width, canvas.height);
  canvas.toBlob((blob) => {
    if (blob !== null) saveFile("hubble-map.png", blob);
  }, "image/png");
}
