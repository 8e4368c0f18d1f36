/** Sizes in the map's own units: pixels at a zoom of 1. */
export const cardWidth = 232;
export const cardHeight = 116;
const gapX = 88;
const gapY = 22;
const islandPadding = 24;
const islandHeader = 36;
const islandGap = 72;

export interface LayoutService {
  readonly id: string;
  /** Services of one island stand together: a namespace, or an outside. */
  readonly island: string;
  /** Where the island stands; `inside` for namespaces. */
  readonly side: "left" | "inside" | "right";
}

export interface LayoutInput {
  readonly services: readonly LayoutService[];
  readonly pairs: readonly (readonly [source: string, destination: string])[];
}

export interface Point {
  readonly x: number;
  readonly y: number;
}

export interface Box extends Point {
  readonly width: number;
  readonly height: number;
}

export interface Island extends Box {
  readonly name: string;
}

export interface Layout {
  readonly cards: ReadonlyMap<string, Point>;
  readonly islands: readonly Island[];
  readonly bounds: Box;
}

interface Slot {
  readonly column: number;
  readonly row: number;
}

interface KeptIsland {
  readonly name: string;
  readonly side: LayoutService["side"];
  readonly slots: Map<string, Slot>;
  columns: number;
  rows: number;
}

/**
 * Where cards stand. Callers stand left of whom they call, as far as there are no circles; islands are packed to the shape of a screen. What has a place keeps
 * it while other things come and go, and places that became free are given to newcomers: cards do not jump.
 */
export class LayoutKeeper {
  readonly #islands = new Map<string, KeptIsland>();

  update(input: LayoutInput): Layout {
    this.#forgetGone(input);
    const callers = neighboursOf(input);
    const newcomers = new Map<string, LayoutService[]>();
    for (const service of input.services) {
      if (this.#islands.get(service.island)?.slots.has(service.id)) continue;
      const known = newcomers.get(service.island);
      if (known === undefined) newcomers.set(service.island, [service]);
      else known.push(service);
    }
    // The large islands of a first look come first, and their order stays.
    for (const [name, services] of [...newcomers].sort(
      (left, right) => right[1].length - left[1].length || (left[0] < right[0] ? -1 : 1),
    )) {
      let island = this.#islands.get(name);
      if (island === undefined) {
        island = { name, side: services[0]?.side ?? "inside", slots: new Map(), columns: 0, rows: 0 };
        this.#islands.set(name, island);
      }
      place(island, services, callers);
    }
    return this.#arrange();
  }

  #forgetGone({ services }: LayoutInput): void {
    const present = new Map(services.map(({ id, island }) => [id, island]));
    for (const [name, { slots }] of this.#islands) {
      for (const id of slots.keys()) if (present.get(id) !== name) slots.delete(id);
      if (slots.size === 0) this.#islands.delete(name);
    }
  }

  #arrange(): Layout {
    const bySide = { left: [] as KeptIsland[], inside: [] as KeptIsland[], right: [] as KeptIsland[] };
    for (const island of this.#islands.values()) bySide[island.side].push(island);
    const islands: Island[] = [];
    let x = 0;
    for (const side of ["left", "inside", "right"] as const) {
      const placed = side === "inside" ? packShelves(bySide[side], x) : stack(bySide[side], x);
      islands.push(...placed);
      if (placed.length > 0) x = Math.max(...placed.map((island) => island.x + island.width)) + islandGap;
    }
    const cards = new Map<string, Point>();
    for (const island of islands) {
      for (const [id, { column, row }] of this.#islands.get(island.name)?.slots ?? []) {
        cards.set(id, {
          x: island.x + islandPadding + column * (cardWidth + gapX),
          y: island.y + islandHeader + islandPadding + row * (cardHeight + gapY),
        });
      }
    }
    const width = Math.max(0, ...islands.map((island) => island.x + island.width));
    const height = Math.max(0, ...islands.map((island) => island.y + island.height));
    return { cards, islands, bounds: { x: 0, y: 0, width, height } };
  }
}

interface Neighbours {
  readonly callersOf: ReadonlyMap<string, readonly string[]>;
  readonly calledBy: ReadonlyMap<string, readonly string[]>;
}

function neighboursOf({ pairs }: LayoutInput): Neighbours {
  const callersOf = new Map<string, string[]>();
  const calledBy = new Map<string, string[]>();
  const add = (map: Map<string, string[]>, key: string, value: string): void => {
    const known = map.get(key);
    if (known === undefined) map.set(key, [value]);
    else known.push(value);
  };
  for (const [source, destination] of pairs) {
    add(callersOf, destination, source);
    add(calledBy, source, destination);
  }
  return { callersOf, calledBy };
}

/** Gives newcomers free slots of their island. */
function place(island: KeptIsland, services: readonly LayoutService[], neighbours: Neighbours): void {
  const { slots } = island;
  const layers = layersOf(island, services, neighbours);
  const total = slots.size + services.length;
  // As wide as it is high, roughly; an island that has grown stays grown.
  const rowsMax = Math.max(island.rows, Math.ceil(Math.sqrt(total * ((cardWidth + gapX) / (cardHeight + gapY)) * 0.8)), 3);
  const taken = new Set([...slots.values()].map(slotKey));
  const ordered = [...services].sort(
    (left, right) =>
      (layers.get(left.id) ?? 0) - (layers.get(right.id) ?? 0) ||
      meanRow(left.id, slots, neighbours) - meanRow(right.id, slots, neighbours),
  );
  for (const { id } of ordered) {
    let column = layers.get(id) ?? 0;
    const wanted = Math.min(rowsMax - 1, Math.round(meanRow(id, slots, neighbours)));
    let row = freeRow(taken, column, wanted, rowsMax);
    while (row === undefined) {
      column += 1;
      row = freeRow(taken, column, wanted, rowsMax);
    }
    taken.add(slotKey({ column, row }));
    slots.set(id, { column, row });
    island.columns = Math.max(island.columns, column + 1);
    island.rows = Math.max(island.rows, row + 1);
  }
}

function slotKey({ column, row }: Slot): string {
  return `${column} ${row}`;
}

/** The free row nearest to the one that is wanted. */
function freeRow(taken: ReadonlySet<string>, column: number, wanted: number, rows: number): number | undefined {
  for (let distance = 0; distance < rows; distance += 1) {
    for (const row of [wanted + distance, wanted - distance]) {
      if (row >= 0 && row < rows && !taken.has(slotKey({ column, row }))) return row;
    }
  }
  return undefined;
}

function meanRow(id: string, slots: ReadonlyMap<string, Slot>, { callersOf, calledBy }: Neighbours): number {
  let sum = 0;
  let count = 0;
  for (const neighbour of [...(callersOf.get(id) ?? []), ...(calledBy.get(id) ?? [])]) {
    const slot = slots.get(neighbour);
    if (slot === undefined) continue;
    sum += slot.row;
    count += 1;
  }
  return count === 0 ? 0 : sum / count;
}

const layersMax = 8;

/** How many calls lie before a service within its island, circles cut where they are first closed. */
function layersOf(island: KeptIsland, services: readonly LayoutService[], { callersOf }: Neighbours): ReadonlyMap<string, number> {
  const members = new Set(services.map(({ id }) => id));
  const layers = new Map<string, number>();
  const underWay = new Set<string>();
  for (const { id } of services) {
    const stack = [id];
    while (stack.length > 0) {
      const current = stack.at(-1) ?? id;
      if (layers.has(current)) {
        stack.pop();
        continue;
      }
      const callers = (callersOf.get(current) ?? []).filter((caller) => caller !== current);
      const unknown = underWay.has(current)
        ? undefined
        : callers.find((caller) => members.has(caller) && !layers.has(caller) && !underWay.has(caller));
      if (unknown !== undefined) {
        // Once more when its callers are known; a caller that is under way closes a circle and counts for nothing.
        const others = callers.filter((caller) => members.has(caller) && !layers.has(caller) && !underWay.has(caller));
        underWay.add(current);
        stack.push(...others);
        continue;
      }
      stack.pop();
      underWay.delete(current);
      let layer = 0;
      for (const caller of callers) {
        const before = layers.get(caller) ?? island.slots.get(caller)?.column;
        if (before !== undefined) layer = Math.max(layer, before + 1);
      }
      layers.set(current, Math.min(layer, layersMax - 1));
    }
  }
  return layers;
}

function sizeOf({ columns, rows }: KeptIsland): { readonly width: number; readonly height: number } {
  return {
    width: islandPadding * 2 + columns * cardWidth + Math.max(0, columns - 1) * gapX,
    height: islandHeader + islandPadding * 2 + rows * cardHeight + Math.max(0, rows - 1) * gapY,
  };
}

function stack(islands: readonly KeptIsland[], x: number): Island[] {
  let y = 0;
  return islands.map((island) => {
    const size = sizeOf(island);
    const placed = { name: island.name, x, y, ...size };
    y += size.height + islandGap;
    return placed;
  });
}

/** Rows of islands in the order in which they came, about 16 to 10. */
function packShelves(islands: readonly KeptIsland[], left: number): Island[] {
  const sizes = islands.map((island) => ({ name: island.name, ...sizeOf(island) }));
  const area = sizes.reduce((sum, { width, height }) => sum + (width + islandGap) * (height + islandGap), 0);
  const widthMax = Math.max(Math.sqrt(area * 1.6), ...sizes.map(({ width }) => width));
  const placed: Island[] = [];
  let [x, y, shelfHeight] = [0, 0, 0];
  for (const size of sizes) {
    if (x > 0 && x + size.width > widthMax) {
      x = 0;
      y += shelfHeight + islandGap;
      shelfHeight = 0;
    }
    placed.push({ ...size, x: left + x, y });
    x += size.width + islandGap;
    shelfHeight = Math.max(shelfHeight, size.height);
  }
  return placed;
}
