# quality_tables.awk PEERS LIST: the tables of docs/quality.md on stdout, their numbers into the file `data`, points into the file `plot`.
# LIST has a line "MODEL NAME BITS BITS-PER-WEIGHT TEXT SUMS" for each table of sums (quality.c).
#
# KL, increase and same best are means over predictions with the standard error of independent values, as `sinq eval` gives them. The
# ratio of a KL to that of `paper` is one of sums over windows; its standard error is that of the windows' paired residuals:
# with d = KL sum - ratio * paper's KL sum of each window, sqrt(W / (W - 1) * sum of d^2) / sum of paper's.

FNR == 1 { files++ }
/^#/ { next }
files == 1 {
    peers[++peer_count] = $1
    peer_bpw[$1] = $2
    peer_kl[$1, "books"] = $3; peer_kl[$1, "wiki"] = $4; peer_kl[$1, "c4"] = $5
    next
}
{
    row = $1 SUBSEP $2 SUBSEP $3
    if (!(row in bpw)) { rows[++row_count] = row; bpw[row] = $4 }
    if (!($1 in has_model)) { has_model[$1] = 1; models[++model_count] = $1 }
    if (!($5 in has_text)) { has_text[$5] = 1; texts[++text_count] = $5 }
    read_sums($6, row, $5)
}

function read_sums(path, row, text,    line, f) {
    while ((getline line < path) > 0) {
        split(line, f, " ")
        add(row, text, f)
        add(row, "all", f)
        window_kl[row, text, f[1]] += f[4]
        if (f[1] + 1 > window_count[text]) window_count[text] = f[1] + 1
        # The windows that llama.cpp was measured on: see quality_peers.txt.
        if (f[2] == 1 && f[1] < (text == "books" ? 16 : 8)) { like_peers[row, text] += f[4]; like_peers_n[row, text] += f[3] }
    }
    close(path)
    measured[row, text] = 1
    texts_of[row]++
}

function add(row, text, f) {
    n[row, text] += f[3]; kl[row, text] += f[4]; kl2[row, text] += f[5]; change[row, text] += f[6]
    change2[row, text] += f[7]; same[row, text] += f[8]; reference_nll[row, text] += f[9]
}

function mean(sum, row, text) { return sum[row, text] / n[row, text] }
function error_of(sum, square, count,    rest) {
    rest = square - sum * sum / count
    return count > 1 && rest > 0 ? sqrt(rest / (count - 1) / count) : 0
}

# Ratio to `paper` at the same bits into `ratio`, its paired error into `ratio_error`; false where there is none.
function find_ratio(row, text,    part) {
    split(row, part, SUBSEP)
    return find_ratio_to(row, part[1] SUBSEP "paper" SUBSEP part[3], text)
}

function find_ratio_to(row, base, text,    t, w, d, squares, count) {
    if (!((base, text) in n) || n[base, text] != n[row, text]) return 0
    ratio = kl[row, text] / kl[base, text]
    for (t = 1; t <= text_count; t++) {
        if (text != "all" && text != texts[t]) continue
        for (w = 0; w < window_count[texts[t]]; w++) {
            d = window_kl[row, texts[t], w] - ratio * window_kl[base, texts[t], w]
            squares += d * d
            count++
        }
    }
    ratio_error = count > 1 ? sqrt(squares * count / (count - 1)) / kl[base, text] : 0
    return 1
}

function print_ratio(row, text) {
    if (row ~ SUBSEP "paper" SUBSEP) return "1"
    return find_ratio(row, text) ? sprintf("%.3f ± %.3f", ratio, ratio_error) : ""
}

# Wide codes first, then by size, then by divergence.
function comes_before(a, b,    x, y) {
    split(a, x, SUBSEP); split(b, y, SUBSEP)
    if (x[3] != y[3]) return x[3] + 0 > y[3] + 0
    if (sprintf("%.2f", bpw[a]) != sprintf("%.2f", bpw[b])) return bpw[a] + 0 < bpw[b] + 0
    return mean(kl, a, "all") > mean(kl, b, "all")
}
function sort_rows(    i, k, row) {
    for (i = 2; i <= row_count; i++) {
        row = rows[i]
        for (k = i - 1; k >= 1 && comes_before(row, rows[k]); k--) rows[k + 1] = rows[k]
        rows[k + 1] = row
    }
}

function name_model(model) { return model == "twin" ? "its skewed twin" : name }

function print_numbers(    i, t, row, part, text, r, ratios, like) {
    print "model\ttext\tmethod\tbits\tbits_per_weight\tpredictions\tkl\tkl_error\tincrease\tincrease_error\tsame_top\tratio\tratio_error\tkl_on_peers_windows" >data
    for (i = 1; i <= row_count; i++) {
        row = rows[i]
        split(row, part, SUBSEP)
        for (t = 0; t <= text_count; t++) {
            text = t == 0 ? "all" : texts[t]
            if (t == 0 ? texts_of[row] != text_count : !((row, text) in measured)) continue
            r = exp(mean(change, row, text))
            ratios = find_ratio(row, text) ? sprintf("%.4f\t%.4f", ratio, ratio_error) : "\t"
            like = find_like_peers(row, text)
            printf "%s\t%s\t%s\t%s\t%.4f\t%d\t%.6f\t%.6f\t%.6f\t%.6f\t%.5f\t%s\t%s\n", part[1], text, part[2], part[3], bpw[row],
                n[row, text], mean(kl, row, text), error_of(kl[row, text], kl2[row, text], n[row, text]), r - 1,
                r * error_of(change[row, text], change2[row, text], n[row, text]), mean(same, row, text),
                ratios, (like == "-" ? "" : sprintf("%.6f", like)) >data
        }
    }
}

function print_references(    m, t, i, row, part) {
    print "\n| checkpoint | text | predictions | windows | perplexity |\n|---|---|---|---|---|"
    for (m = 1; m <= model_count; m++)
        for (t = 1; t <= text_count; t++)
            for (i = 1; i <= row_count; i++) {
                split(rows[i], part, SUBSEP)
                if (part[1] != models[m] || !((rows[i], texts[t]) in measured)) continue
                printf "| %s | %s | %d | %d | %.3f |\n", name_model(models[m]), texts[t], n[rows[i], texts[t]],
                    window_count[texts[t]], exp(mean(reference_nll, rows[i], texts[t]))
                break
            }
}

function print_summary(    i, m, row, part, cell, seen, key) {
    print "\n### KL as a ratio to the paper's, all texts together\n"
    printf "| bits | method | bits/weight |"
    for (m = 1; m <= model_count; m++) printf " %s |", name_model(models[m])
    printf "\n|---|---|---|"
    for (m = 1; m <= model_count; m++) printf "---|"
    print ""
    for (i = 1; i <= row_count; i++) {
        split(rows[i], part, SUBSEP)
        key = part[2] SUBSEP part[3]
        if (key in seen || texts_of[rows[i]] != text_count) continue
        seen[key] = 1
        printf "| %s | %s | %.3f |", part[3], part[2], bpw[rows[i]]
        for (m = 1; m <= model_count; m++) {
            row = models[m] SUBSEP key
            printf " %s |", texts_of[row] == text_count ? print_ratio(row, "all") : ""
        }
        print ""
    }
}

function print_text(model, text,    i, row, part, r) {
    printf "\n### %s, %s\n\n", name_model(model), text
    print "| bits | method | bits/weight | KL | increase of perplexity | same best | KL / paper's |\n|---|---|---|---|---|---|---|"
    for (i = 1; i <= row_count; i++) {
        row = rows[i]
        split(row, part, SUBSEP)
        if (part[1] != model || !((row, text) in measured)) continue
        r = exp(mean(change, row, text))
        printf "| %s | %s | %.3f | %.5f ± %.5f | %.2f ± %.2f %% | %.1f %% | %s |\n", part[3], part[2], bpw[row], mean(kl, row, text),
            error_of(kl[row, text], kl2[row, text], n[row, text]), 100 * (r - 1),
            100 * r * error_of(change[row, text], change2[row, text], n[row, text]), 100 * mean(same, row, text), print_ratio(row, text)
    }
}

# Rows whose name ends in -absorb beside those without.
function print_absorbed(    i, t, row, part, base, is_begun) {
    for (i = 1; i <= row_count; i++) {
        row = rows[i]
        split(row, part, SUBSEP)
        if (!sub(/-absorb$/, "", part[2])) continue
        base = part[1] SUBSEP part[2] SUBSEP part[3]
        for (t = 1; t <= text_count; t++) {
            if (!((row, texts[t]) in measured) || !find_ratio_to(row, base, texts[t])) continue
            if (!is_begun++) {
                print "\n### GGUF's types, with and without --absorb\n"
                print "| checkpoint | type | text | KL | KL with --absorb | ratio |\n|---|---|---|---|---|---|"
            }
            printf "| %s | %s | %s | %.5f | %.5f | %.3f ± %.3f |\n", name_model(part[1]), part[2], texts[t],
                mean(kl, base, texts[t]), mean(kl, row, texts[t]), ratio, ratio_error
        }
    }
}

function find_like_peers(row, text) { return (row, text) in like_peers_n && like_peers_n[row, text] > 0 ? like_peers[row, text] / like_peers_n[row, text] : "-" }
function print_cell(value) { return value == "-" || value == "" ? "" : sprintf("%.5f", value) }

# Ours and llama.cpp's by size, and the same points for the picture.
function print_peers(    i, p, k, count, line, size, part, row) {
    for (i = 1; i <= row_count; i++) {
        row = rows[i]
        split(row, part, SUBSEP)
        if (part[1] != "model" || find_like_peers(row, "books") == "-") continue
        line[++count] = sprintf("| sinq | %s, %s bits | %.3f | %s | %s | %s |", part[2], part[3], bpw[row], print_cell(find_like_peers(row, "books")),
            print_cell(find_like_peers(row, "wiki")), print_cell(find_like_peers(row, "c4")))
        size[count] = bpw[row]
        printf "sinq\t%s\t%s\t%s\n", part[2], bpw[row], find_like_peers(row, "books") >plot
    }
    for (p = 1; p <= peer_count; p++) {
        i = peers[p]
        line[++count] = sprintf("| llama.cpp | %s | %.3f | %s | %s | %s |", i, peer_bpw[i], print_cell(peer_kl[i, "books"]),
            print_cell(peer_kl[i, "wiki"]), print_cell(peer_kl[i, "c4"]))
        size[count] = peer_bpw[i]
        printf "llama.cpp\t%s\t%s\t%s\n", i, peer_bpw[i], peer_kl[i, "books"] >plot
    }
    print "\n### Beside llama.cpp\n"
    print "KL on " name " over the windows on which llama.cpp was measured: the first 16 of books and the first 8 of wiki and c4, predictions"
    print "in the second half of each. Its figures are its own, with 8-bit activations and, where `_im` stands, an importance matrix."
    print "\n![KL against bits per weight](quality.png)\n"
    print "| by | what | bits/weight | books | wiki | c4 |\n|---|---|---|---|---|---|"
    while (count > 0) {
        k = 0
        for (i in line) if (k == 0 || size[i] + 0 > size[k] + 0 || (size[i] == size[k] && i + 0 < k + 0)) k = i
        print line[k]
        delete line[k]
        count--
    }
}

END {
    if (row_count == 0) exit
    sort_rows()
    print_numbers()
    print_references()
    print_summary()
    print_absorbed()
    print_peers()
    for (m = 1; m <= model_count; m++)
        for (t = 1; t <= text_count; t++) print_text(models[m], texts[t])
}
