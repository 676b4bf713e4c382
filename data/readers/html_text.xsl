<?xml version="1.0" encoding="UTF-8"?>
<!-- What a reader of a page sees, with signs for its structure, which html_text.py makes lines of: U+FDD0 ends a
     paragraph, U+FDD1 a line, U+FDD2 a cell, U+FDD4 is a break; U+FDD3 is a space that stays, and
     U+FDD5 one behind the mark of an item, beside which
     its text stands, up to U+FDD6. Unicode has them for such use, and no text. -->
<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform">
  <xsl:output method="text" encoding="UTF-8"/>

  <xsl:template match="hidden|head|script|style|noscript|template|svg|select|textarea|button|iframe|object|del"/>
  <xsl:template match="hidden|del|style|noscript|template|svg|select|textarea|button|iframe|object" mode="cell"/>

  <xsl:template match="p|h1|h2|h3|h4|h5|h6|table|ul|ol|dl|blockquote|pre">
    <xsl:text>&#xFDD0;</xsl:text><xsl:apply-templates/><xsl:text>&#xFDD0;</xsl:text>
  </xsl:template>
  <xsl:template match="div|center|tr|caption|dt|dd|section|article|header|footer|main|nav|aside|address|form|fieldset|legend|figure|figcaption|details|summary|title|body">
    <xsl:text>&#xFDD1;</xsl:text><xsl:apply-templates/><xsl:text>&#xFDD1;</xsl:text>
  </xsl:template>
  <xsl:template match="br"><xsl:text>&#xFDD4;</xsl:text></xsl:template>
  <xsl:template match="hr"><xsl:text>&#xFDD1;</xsl:text></xsl:template>
  <xsl:template match="ol/li" priority="1"><xsl:text>&#xFDD1;</xsl:text><xsl:apply-templates/><xsl:text>&#xFDD6;&#xFDD1;</xsl:text></xsl:template>
  <xsl:template match="q"><xsl:text>“</xsl:text><xsl:apply-templates/><xsl:text>”</xsl:text></xsl:template>
  <xsl:template match="q" mode="cell"><xsl:text>“</xsl:text><xsl:apply-templates mode="cell"/><xsl:text>”</xsl:text></xsl:template>
  <xsl:template match="li"><xsl:text>&#xFDD1;-&#xFDD5;</xsl:text><xsl:apply-templates/><xsl:text>&#xFDD6;&#xFDD1;</xsl:text></xsl:template>

  <!-- A cell is one line, unless it is the only one of its row or holds a table: then it lays out the page. -->
  <xsl:template match="td|th">
    <xsl:choose>
      <xsl:when test="../*[2] and not(.//table)">
        <xsl:apply-templates mode="cell"/>
      </xsl:when>
      <xsl:otherwise><xsl:apply-templates/></xsl:otherwise>
    </xsl:choose>
    <xsl:text>&#xFDD2;</xsl:text>
  </xsl:template>
  <xsl:template match="p|div|br|li|h1|h2|h3|h4|h5|h6|center|ul|ol|dl|dt|dd" mode="cell">
    <xsl:text> </xsl:text><xsl:apply-templates mode="cell"/><xsl:text> </xsl:text>
  </xsl:template>

  <!-- What stands above the line keeps a sign of it: ten to the fifth is no 105, nor a figure with a note another one. -->
  <xsl:template match="sup">
    <xsl:variable name="text" select="normalize-space(.)"/>
    <xsl:variable name="next" select="substring(following-sibling::node()[1], 1, 1)"/>
    <xsl:choose>
      <xsl:when test="$text = '' or contains('|st|nd|rd|th|®|™|SM|TM|', concat('|', $text, '|'))"><xsl:value-of select="$text"/></xsl:when>
      <xsl:when test="contains($text, ' ') or translate($next, 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789', '') != $next">
        <xsl:value-of select="concat('^{', $text, '}')"/>
      </xsl:when>
      <xsl:otherwise><xsl:value-of select="concat('^', $text)"/></xsl:otherwise>
    </xsl:choose>
  </xsl:template>
  <xsl:template match="sub[number(substring(following-sibling::node()[1], 1, 1)) &gt;= 0]">
    <xsl:value-of select="concat('_{', normalize-space(.), '}')"/>
  </xsl:template>
  <xsl:template match="sup | sub" mode="cell"><xsl:apply-templates select="."/></xsl:template>

  <!-- Formulae: TeX where there is some, else MathML in a line, else a mark. Pages that make glyphs of one for the eye, or
       a picture, have it as MathML, TeX or words beside these. -->
  <xsl:template match="math">
    <xsl:variable name="tex" select=".//annotation[contains(@encoding, 'tex') or contains(@encoding, 'TeX')][normalize-space()][1]"/>
    <xsl:variable name="line"><xsl:apply-templates mode="math"/></xsl:variable>
    <xsl:if test="@display = 'block'"><xsl:text>&#xFDD1;</xsl:text></xsl:if>
    <xsl:choose>
      <xsl:when test="normalize-space(@alttext)"><xsl:value-of select="normalize-space(@alttext)"/></xsl:when>
      <xsl:when test="$tex"><xsl:value-of select="normalize-space($tex)"/></xsl:when>
      <xsl:when test="normalize-space($line)"><xsl:value-of select="normalize-space($line)"/></xsl:when>
      <xsl:otherwise><xsl:text>[formula]</xsl:text></xsl:otherwise>
    </xsl:choose>
    <xsl:if test="@display = 'block'"><xsl:text>&#xFDD1;</xsl:text></xsl:if>
  </xsl:template>
  <xsl:template match="script[starts-with(@type, 'math/tex')][not(@id)]" priority="1"><xsl:value-of select="normalize-space(.)"/></xsl:template>
  <xsl:template match="img[@alt][contains(@class, 'math') or contains(@class, 'latex')]"><xsl:value-of select="normalize-space(@alt)"/></xsl:template>
  <xsl:template match="span[@class = 'katex-html'] | nobr[@aria-hidden = 'true']"/>
  <xsl:template match="math | script | img | span[@class = 'katex-html'] | nobr[@aria-hidden = 'true']" mode="cell">
    <xsl:apply-templates select="."/>
  </xsl:template>

  <xsl:template match="msup | mover" mode="math"><xsl:apply-templates select="*[1]" mode="math"/>^{<xsl:apply-templates select="*[2]" mode="math"/>}</xsl:template>
  <xsl:template match="msub | munder" mode="math"><xsl:apply-templates select="*[1]" mode="math"/>_{<xsl:apply-templates select="*[2]" mode="math"/>}</xsl:template>
  <xsl:template match="msubsup | munderover" mode="math">
    <xsl:apply-templates select="*[1]" mode="math"/>_{<xsl:apply-templates select="*[2]" mode="math"/>}^{<xsl:apply-templates select="*[3]" mode="math"/>}</xsl:template>
  <xsl:template match="mfrac" mode="math">(<xsl:apply-templates select="*[1]" mode="math"/>)/(<xsl:apply-templates select="*[2]" mode="math"/>)</xsl:template>
  <xsl:template match="msqrt" mode="math">sqrt(<xsl:apply-templates mode="math"/>)</xsl:template>
  <xsl:template match="mroot" mode="math">root(<xsl:apply-templates select="*[1]" mode="math"/>, <xsl:apply-templates select="*[2]" mode="math"/>)</xsl:template>
  <xsl:template match="mfenced" mode="math">(<xsl:for-each select="*"><xsl:if test="position() &gt; 1">, </xsl:if><xsl:apply-templates select="." mode="math"/></xsl:for-each>)</xsl:template>
  <xsl:template match="mtr" mode="math"><xsl:if test="preceding-sibling::*[1]">; </xsl:if><xsl:apply-templates mode="math"/></xsl:template>
  <xsl:template match="mtd" mode="math"><xsl:if test="preceding-sibling::*[1]">, </xsl:if><xsl:apply-templates mode="math"/></xsl:template>
  <xsl:template match="mmultiscripts" mode="math"><xsl:text>[formula]</xsl:text></xsl:template>
  <xsl:template match="mspace" mode="math"><xsl:text> </xsl:text></xsl:template>
  <xsl:template match="mtext" mode="math"><xsl:text> </xsl:text><xsl:value-of select="normalize-space(.)"/><xsl:text> </xsl:text></xsl:template>
  <xsl:template match="annotation | annotation-xml | mphantom | hidden" mode="math"/>
  <xsl:template match="text()" mode="math"><xsl:value-of select="normalize-space(.)"/></xsl:template>

  <xsl:template match="pre//text()"><xsl:value-of select="translate(., '&#10; ', '&#xFDD4;&#xFDD3;')"/></xsl:template>
</xsl:stylesheet>
