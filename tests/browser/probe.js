// What is wrong with a page as it is shown: an array of sentences, empty where nothing is.
(() => {
  const LEAST_PIXELS = 11, LEAST_CONTRAST = 4.5;
  // Of the window, also where a phone would show more than that of a page that is too wide.
  const WIDTH = document.documentElement.clientWidth;
  const problems = [];

  const rgba = (text) => {
    const parts = text.match(/[\d.]+/g)?.map(Number) ?? [0, 0, 0, 0];
    return parts.length === 3 ? [...parts, 1] : parts;
  };
  // `over` drawn on `under`, which is opaque.
  const blend = (over, under) => [0, 1, 2].map((i) => over[i] * over[3] + under[i] * (1 - over[3]));
  // WCAG 2.2: relative luminance, and contrast of two colours.
  const luminance = (color) => {
    const [r, g, b] = color.map((part) => part / 255).map((p) => (p <= 0.04045 ? p / 12.92 : ((p + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = (one, other) => {
    const [dark, light] = [luminance(one), luminance(other)].sort((a, b) => a - b);
    return (light + 0.05) / (dark + 0.05);
  };
  const quoted = (text) => `"${text.trim().replace(/\s+/g, " ").slice(0, 40)}"`;
  const kept = (compute) => {
    const known = new Map();
    return (element) => known.get(element) ?? known.set(element, compute(element)).get(element);
  };
  const opacity = kept((element) => {
    const above = element.parentElement;
    return getComputedStyle(element).opacity * (above ? opacity(above) : 1);
  });

  // The paint of an element below a text: RGBA; false where it has none there.
  const paint = kept((element) => {
    const style = getComputedStyle(element);
    if (!(element instanceof SVGElement) || element instanceof SVGSVGElement) return rgba(style.backgroundColor);
    if (style.fill === "none" || element.matches("use, line")) return false;
    const color = rgba(style.fill);
    return [...color.slice(0, 3), color[3] * style.fillOpacity * opacity(element)];
  });

  // What is painted at a point below an element: the colour, or why none can be told.
  const below = (element, x, y) => {
    const stack = document.elementsFromPoint(x, y);
    const place = stack.findIndex((each) => each === element || element.contains(each));
    const covers = (each) => each.matches("img, image, use") || paint(each)[3] === 1;
    if (place < 0 || stack.slice(0, place).some((each) => !(each instanceof SVGTextContentElement) && covers(each))) {
      return { why: "is covered or cut off" };
    }
    let color = [255, 255, 255];
    const layers = [];
    for (const each of stack.slice(place)) {
      if (each instanceof SVGTextContentElement) continue;
      if (each.matches("img, image")) return { why: "lies on a picture" };
      const painted = paint(each);
      if (!painted) return { why: "lies on a line or a mark" };
      layers.push(painted);
      if (painted[3] === 1) break;
    }
    for (const layer of layers.reverse()) color = blend(layer, color);
    return { color };
  };

  // Where to look below the letters in a box. In a figure lines run in all directions.
  const samples = ({ left, right, top, bottom }, svg) => {
    const middle = (top + bottom) / 2, points = [0.02, 0.5, 0.98].map((part) => [left + part * (right - left), middle]);
    if (svg) {
      for (let x = left + 4; x < right; x += 4) points.push([x, middle]);
      for (let y = top + 0.2 * (bottom - top); y < bottom - 0.2 * (bottom - top); y += 1) points.push([points[1][0], y]);
    }
    return points;
  };

  const scrolled = (element) => {
    const box = element.closest(".scroll");
    return box !== null && box !== element && box.scrollWidth > box.clientWidth;
  };

  for (const element of document.querySelectorAll("body *")) {
    const { right, left, width } = element.getBoundingClientRect();
    if (width && !scrolled(element) && (right > WIDTH + 1 || left < -1)) {
      problems.push(`<${element.localName}> ${quoted(element.textContent)} is wider than the window`);
    }
  }

  const words = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const drawn = new Map();
  while (words.nextNode()) {
    const node = words.currentNode, element = node.parentElement;
    if (!node.data.trim() || element.matches("style, script, title, desc") || !element.checkVisibility()) continue;
    const style = getComputedStyle(element), svg = element instanceof SVGElement;
    const matrix = svg ? element.getScreenCTM() : { a: 1, b: 0 };
    const size = parseFloat(style.fontSize) * Math.hypot(matrix.a, matrix.b);
    if (size < LEAST_PIXELS - 0.05) problems.push(`${quoted(node.data)} has ${size.toFixed(1)} pixels`);
    const range = document.createRange();
    range.selectNodeContents(node);
    const ink = svg ? rgba(style.fill) : rgba(style.color);
    if (svg) {
      const all = drawn.get(element.ownerSVGElement) ?? [];
      drawn.set(element.ownerSVGElement, [...all, [node.data, element.getBoundingClientRect()]]);
    }
    const box = element.closest(".scroll")?.getBoundingClientRect() ?? { left: 0, right: WIDTH };
    for (const { left, right, top, bottom } of range.getClientRects()) {
      const why = new Set();
      for (const [x, y] of samples({ left, right, top, bottom }, svg)) {
        // What is scrolled out of sight is not looked at.
        if (x < box.left || x > box.right - 1) continue;
        const under = below(element, x, y);
        if (under.why) why.add(under.why);
        else {
          const found = contrast(blend([...ink.slice(0, 3), ink[3] * opacity(element)], under.color), under.color);
          if (found < LEAST_CONTRAST) why.add(`has a contrast of ${found.toFixed(1)}`);
        }
      }
      for (const reason of why) problems.push(`${quoted(node.data)} ${reason}`);
    }
  }

  for (const texts of drawn.values()) {
    texts.forEach(([text, one], number) => {
      for (const [other, two] of texts.slice(number + 1)) {
        const across = Math.min(one.right, two.right) - Math.max(one.left, two.left);
        const down = Math.min(one.bottom, two.bottom) - Math.max(one.top, two.top);
        // Boxes have room above and below their letters.
        if (across > 1 && down > 0.4 * Math.min(one.height, two.height)) problems.push(`${quoted(text)} touches ${quoted(other)}`);
      }
    });
  }
  return [...new Set(problems)];
})()
